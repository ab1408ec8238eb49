// Short messages at the foot of the page. The server leaves one in the cookie "toast" (web.toasts), which survives a
// redirect; an undo address is posted to, then the page is loaded again.

const read = () => {
  const found = document.cookie.match(/(?:^|; )toast=([^;]*)/)?.[1];
  if (!found) return null;
  document.cookie = 'toast=;path=/;max-age=0';
  try {
    const bytes = Uint8Array.from(atob(found.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
};

export function show({ message, undo, undoLabel }) {
  const place = document.getElementById('toasts');
  const toast = document.createElement('div');
  toast.className = 'toast-note';
  toast.append(message);
  if (undo?.startsWith('/') && !undo.startsWith('//')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'btn-undo';
    button.textContent = undoLabel;
    button.addEventListener('click', async () => {
      const csrf = document.querySelector('meta[name=csrf]').content;
      await fetch(undo, { method: 'POST', headers: { 'X-CSRF-Token': csrf, 'HX-Request': 'true' } });
      location.reload();
    });
    toast.append(button);
  }
  place.append(toast);
  setTimeout(() => toast.remove(), undo ? 12000 : 6000);
}

export function toasts() {
  const look = () => {
    const found = read();
    if (found) show(found);
  };
  look();
  // Where the answer leads to another page, that one shows it: here it would go with this page.
  document.addEventListener('htmx:finally:request', ({ detail }) => {
    if (!detail.ctx.hx?.redirect) look();
  });
}
