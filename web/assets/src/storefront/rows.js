// Rows of recommendations on a shop's pages (docs/storefront.md): an element with data-rapport-placement is asked for,
// all of a page in one call, and filled. A row that is asked for again stays until its new items are there.
import { collapse, draw } from './draw.js';
import { watch } from './seen.js';

export const ROW = '[data-rapport-placement]';
const MOST = 10; // rows of one call
const PATIENCE = 5000; // ms

// A key that a question may name: with another it would be refused as a whole, and so would the page's other rows.
export const fits = (key) => /^[^\0\ud800-\udfff]{1,128}$/u.test(key);

// SKU-1,SKU-2 or, where keys hold commas, ["SKU-1","SKU-2"]
function keys(text = '') {
  let found;
  try { if (text.trim().startsWith('[')) found = JSON.parse(text).map(String); } catch { /* a list with commas */ }
  return (found ?? text.split(',').map((key) => key.trim())).filter(fits).slice(-100);
}

function question({ dataset: data }, who, session) {
  return {
    placement: data.rapportPlacement,
    ...who,
    context: { items: keys(data.rapportItems), cart: keys(data.rapportCart), session },
    n: Math.min(Math.max(parseInt(data.rapportN, 10) || 4, 1), 50),
    strict: data.rapportStrict === 'true',
    explain: data.rapportReasons !== 'off',
  };
}

// door, key: where is asked and with what; who(), seen(): what a question tells of the visitor; unsign(): forgets, and
// answers with, a signature that does not fit; note: keeps an event.
export function rows({ door, key, who, unsign, seen, note }) {
  const impression = watch(note);
  let waiting = new Map(); // element: what waits for it
  const turns = new WeakMap(); // element: its last question, so that a late answer to an earlier one is dropped

  async function ask(questions) {
    const answer = await fetch(door, {
      method: 'POST', mode: 'cors', credentials: 'omit', referrerPolicy: 'origin', signal: AbortSignal.timeout(PATIENCE),
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ requests: questions, distinct: true }),
    });
    if (answer.ok) return (await answer.json()).answers;
    const { error } = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(error?.message ?? answer.status), { status: answer.status });
  }

  async function fill(elements, done) {
    const asked = elements.map((element) => {
      const turn = question(element, who(), seen());
      turns.set(element, turn);
      return turn;
    });
    let answers = [];
    try {
      if (key) answers = await ask(asked);
    } catch (error) {
      console.warn(`rapport: no recommendations: ${error.message}`);
      if (error.status === 403 && unsign()) { // the visitor is offered something all the same
        fill(elements, done);
        return;
      }
      if (error.status === 422 && elements.length > 1) { // one row's fault must not cost the others
        elements.forEach((element) => fill([element], done));
        return;
      }
    }
    elements.forEach((element, place) => {
      const answer = answers[place];
      if (turns.get(element) === asked[place]) {
        if (answer?.items.length) impression(draw(element, answer), answer);
        else if (element.dataset.rapportState !== 'shown' || answer) collapse(element); // what stands outlives a fault
        element.dispatchEvent(new CustomEvent('rapport:answer', { bubbles: true, detail: answer }));
      }
      done.get(element).forEach((resolve) => resolve(answer));
    });
  }

  function flush() {
    const done = waiting, elements = [...done.keys()];
    waiting = new Map();
    if (!key) console.warn('rapport: the script needs data-key to fill placements (Settings, API keys)');
    for (let from = 0; from < elements.length; from += MOST) fill(elements.slice(from, from + MOST), done);
  }

  // Asks for one row (or all of the page); what is asked for in one go leaves in one call.
  return function recommend(element) {
    if (!element) return Promise.all(Array.from(document.querySelectorAll(ROW), recommend));
    if (!waiting.size) queueMicrotask(flush);
    return new Promise((resolve) => { waiting.set(element, [...(waiting.get(element) ?? []), resolve]); });
  };
}
