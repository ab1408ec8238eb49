// While the polls of a page fail, its [data-stale] says that what one sees may be old; the next answer takes it away.
export function polls() {
  const tell = ({ detail: { ctx } }, stale) => {
    if (!ctx?.request?.headers['X-Poll']) return;
    for (const note of document.querySelectorAll('[data-stale]')) note.hidden = !stale;
  };
  document.addEventListener('htmx:error', (event) => tell(event, true)); // no answer at all
  document.addEventListener('htmx:before:response', (event) => {
    const { request, response } = event.detail.ctx;
    const failed = response.status >= 500;
    tell(event, failed);
    if (failed && request.headers['X-Poll']) event.preventDefault(); // a proxy's page would take the place of what polls
  });
}
