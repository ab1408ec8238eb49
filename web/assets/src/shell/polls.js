// While the polls of a page fail, its [data-stale] says that what one sees may be old; the next answer takes it away.
// With X-Poll "visible" nothing is asked for a page that nobody sees. What somebody opened stays open when it is renewed.
export function polls() {
  const kind = ({ detail: { ctx } }) => ctx?.request?.headers['X-Poll'];
  const tell = (event, stale) => {
    if (!kind(event)) return;
    for (const note of document.querySelectorAll('[data-stale]')) note.hidden = !stale;
  };
  let opened = [];
  document.addEventListener('htmx:before:request', (event) => {
    if (kind(event) === 'visible' && document.hidden) event.preventDefault();
  });
  document.addEventListener('htmx:error', (event) => tell(event, true)); // no answer at all
  document.addEventListener('htmx:before:response', (event) => {
    const failed = event.detail.ctx.response.status >= 500;
    tell(event, failed);
    if (failed && kind(event)) event.preventDefault(); // a proxy's page would take the place of what polls
  });
  document.addEventListener('htmx:before:swap', (event) => {
    opened = kind(event) ? [...document.querySelectorAll('details[open][id]')].map(({ id }) => id) : [];
  });
  document.addEventListener('htmx:after:swap', () => {
    for (const id of opened.splice(0)) document.getElementById(id)?.setAttribute('open', '');
  });
}
