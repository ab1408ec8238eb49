// When the session has ended nothing typed is lost: a dialog asks for the password in place, and the page goes on.
import { show } from './toasts.js';

export function keepLoggedIn() {
  const dialog = document.getElementById('again');
  if (!dialog) return;
  const form = dialog.querySelector('form');
  let resume = null;

  const ask = (then) => {
    resume = then;
    if (!dialog.open) dialog.showModal();
  };

  document.addEventListener('htmx:before:response', (event) => {
    if (!event.detail.ctx.response.headers.has('X-Log-In')) return;
    event.preventDefault(); // nothing is swapped
    ask(null);
  });

  // A form that the browser itself sends: first see whether we are still known.
  document.addEventListener('submit', async (event) => {
    const { target, submitter } = event;
    const plain = target.method === 'post' && !target.closest('dialog') && ![...target.attributes, ...(submitter?.attributes ?? [])].some((a) => a.name.startsWith('hx-'));
    if (!plain || target.dataset.known) return;
    event.preventDefault();
    const go = () => {
      target.dataset.known = '1';
      const token = target.querySelector('input[name=csrf]');
      if (token) token.value = document.querySelector('meta[name=csrf]').content;
      target.requestSubmit(submitter);
      delete target.dataset.known;
    };
    const answer = await fetch('/session', { headers: { 'HX-Request': 'true' } });
    if (answer.status === 401) ask(go);
    else go();
  });

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const answer = await fetch('/session', { method: 'POST', body: new FormData(form) });
    const said = await answer.json();
    if (!answer.ok) {
      dialog.querySelector('[role=alert]').textContent = said.message;
      return;
    }
    document.querySelector('meta[name=csrf]').content = said.csrf;
    dialog.querySelector('[role=alert]').textContent = '';
    form.reset();
    dialog.close();
    if (resume) resume();
    else show({ message: dialog.dataset.done });
  });
}
