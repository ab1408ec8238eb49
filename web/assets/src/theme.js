// Runs before the first paint, so that nothing flashes: the chosen colours, else the system's.
const root = document.documentElement;
const system = matchMedia('(prefers-color-scheme: dark)');
const chosen = () => document.cookie.match(/(?:^|; )theme=(light|dark)/)?.[1];
const apply = () => {
  root.setAttribute('data-bs-theme', chosen() ?? (system.matches ? 'dark' : 'light'));
  document.dispatchEvent(new Event('theme'));
};
apply();
system.addEventListener('change', apply);
document.addEventListener('theme:choose', (event) => {
  document.cookie = `theme=${event.detail};path=/;samesite=lax;max-age=${event.detail ? 31536000 : 0}`;
  apply();
});
