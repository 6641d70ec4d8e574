/** The page on which a newcomer watches webhooks arrive: plain HTML, fed by Server-Sent Events. */
export const INBOX_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley inbox</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #1a7f4b }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.4rem; margin: 0 } p { margin: .3rem 0 1.2rem; opacity: .75 }
  article { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0; overflow: hidden }
  summary { display: flex; gap: .8rem; padding: .5rem .8rem; cursor: pointer; align-items: baseline }
  summary::before { content: none } b { color: var(--accent); min-width: 13rem } time { opacity: .6; margin-left: auto }
  span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap } em { font-style: normal; color: #c33 }
  pre { margin: 0; padding: .8rem; background: var(--soft); overflow: auto; font-size: 13px }
</style>
</head>
<body>
<h1>Inbox</h1>
<p>Every webhook of the two devices, the newest first, with its signature checked. Click one to see it whole.</p>
<main></main>
<script>
  const list = document.querySelector('main')
  new EventSource('/stream').onmessage = ({ data }) => {
    const { event, signed } = JSON.parse(data)
    const item = document.createElement('article')
    item.innerHTML = '<details><summary><b></b><span></span><time></time></summary><pre></pre></details>'
    item.querySelector('b').textContent = event.event_type
    item.querySelector('span').textContent = event.data.text ?? event.data.message_id ?? event.data.reason ?? ''
    item.querySelector('time').textContent = new Date(event.timestamp).toLocaleTimeString()
    item.querySelector('pre').textContent = JSON.stringify(event, null, 2)
    if (!signed) item.querySelector('summary').append(Object.assign(document.createElement('em'), { textContent: 'bad signature' }))
    list.prepend(item)
  }
</script>
</body>
</html>
`
