// <form id="set" data-unsaved>: who leaves the page while the form differs from what was loaded is asked first; not after
// an answer that leads elsewhere (it was saved), nor after a dialog that was answered. What stands in [data-aside] is not
// part of it. Compared is what the form would send without the empty fields, which answers add and take away.
export function unsaved() {
  const began = new Map();
  let leaving = false;
  const sent = (form) => {
    const entries = [...form.elements]
      .filter((control) => control.name && control.name !== 'csrf' && control.type !== 'submit' && !control.closest('[data-aside]'))
      .filter((control) => control.checked || !['checkbox', 'radio'].includes(control.type))
      .map((control) => [control.name, control.value.trim()]);
    return JSON.stringify(entries.filter(([, value]) => value));
  };
  const begin = () => {
    leaving = false;
    for (const form of document.querySelectorAll('form[data-unsaved]')) began.set(form.id, sent(form));
  };
  begin();
  if (!began.size) return;
  addEventListener('pageshow', (event) => { if (event.persisted) begin(); });
  document.addEventListener('htmx:before:response', ({ detail }) => {
    if (detail.ctx.response.headers.has('HX-Redirect')) leaving = true;
  });
  document.addEventListener('submit', (event) => {
    if (!event.defaultPrevented && event.target.method === 'post' && event.target.closest('dialog')) leaving = true;
  });
  addEventListener('beforeunload', (event) => {
    const differs = [...began].some(([id, was]) => document.getElementById(id) && sent(document.getElementById(id)) !== was);
    if (differs && !leaving) event.preventDefault();
  });
}
