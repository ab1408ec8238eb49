// The pages of the demonstration's storefront (web/demo/storefront): makes the calls of the snippet that a page asks for,
// asks for consent, and sends a form when a choice in it changes.
const { dataset } = document.body;
const CONSENT = 'consent', KNOWN = 'known';
window.rapport ||= (...told) => { (window.rapport.q ||= []).push(told); };

const refuses = navigator.globalPrivacyControl === true;
const asked = () => refuses ? 'no' : localStorage.getItem(CONSENT);

// Every page asks for whom the shop's server signed; that it is them is told once a visit and person, for that is a line in
// the timeline.
function identify() {
  const { customer, signature } = dataset;
  if (!customer || asked() !== 'yes') return;
  window.rapport(sessionStorage.getItem(KNOWN) === customer ? 'sign' : 'identify', { customer, signature });
  sessionStorage.setItem(KNOWN, customer);
}

if ('forget' in dataset) { // the next person must not inherit the name of this browser
  sessionStorage.removeItem(KNOWN);
  if (asked() === 'yes') for (const yes of [false, true]) window.rapport('consent', yes);
}
window.rapport('page');
identify();
for (const call of JSON.parse(dataset.calls)) window.rapport(...call);

const banner = document.querySelector('.consent');
const state = document.querySelector('[data-state]');
const words = { yes: 'You said yes. The shop remembers what you look at.', no: 'You said no. Nothing is remembered.' };

function show() {
  banner.hidden = asked() !== null;
  if (state) state.textContent = refuses ? 'Your browser says no for you. Nothing is remembered.' : words[asked()] ?? 'You have not said anything yet, so nothing is remembered.';
}

document.addEventListener('click', ({ target }) => {
  const answer = target.closest('button[data-consent]')?.dataset.consent;
  if (!answer) return;
  if (!refuses) localStorage.setItem(CONSENT, answer);
  if (answer === 'no') sessionStorage.removeItem(KNOWN);
  window.rapport('consent', answer === 'yes');
  identify();
  show();
});
document.addEventListener('change', ({ target }) => {
  if ('submits' in target.dataset && target.value !== '') target.form.requestSubmit();
});
show();
