// An answer becomes a list. Every word goes in as text and every address is looked at: nothing of an answer is markup.
let number = 0;

const make = (name, kind, words) => {
  const made = document.createElement(name);
  made.className = `rapport-${kind}`;
  if (words) made.textContent = words;
  return made;
};

function address(text) {
  try {
    const url = new URL(text, location.href);
    return /^https?:$/.test(url.protocol) ? url.href : '';
  } catch { return ''; }
}

function money(amount, currency, element) {
  if (amount == null) return '';
  const options = { style: 'currency', currency, maximumFractionDigits: 4 }; // unit prices of 0.001 exist
  try {
    return new Intl.NumberFormat(element.closest('[lang]')?.lang || undefined, options).format(amount);
  } catch { return `${amount} ${currency ?? ''}`; }
}

const begun = (words) => words.slice(0, 1).toUpperCase() + words.slice(1);

// Reasons in the shop's own words, by their kind: {rules: 'Wird oft mit {because} gekauft'}; none where they name what is
// not known. `set`: of an item that completes a set.
export const wording = { set: 'Set: {name}, {price} together, saves {saves}' };

// In two parts where the name stands before the price: a long name is cut on its line, and the price is not.
function set({ bundle, currency }, element) {
  if (!bundle) return [];
  const told = { name: bundle.name, price: money(bundle.price, currency, element), saves: money(bundle.saves, currency, element) };
  const [, head = '', rest] = wording.set.match(/^(.*{name}[^{]*(?={))?(.*)$/s);
  return [head, rest].map((part) => part.replace(/{(name|price|saves)}/g, (_, one) => told[one]));
}

function reason({ kind, text, because = [] } = {}) {
  const own = wording[kind];
  if (own === undefined) return begun(text ?? '');
  return own.includes('{because}') && !because.length ? '' : own.replaceAll('{because}', () => because.join(', '));
}

// What an item says, by the words that a template uses.
const told = (item, element) => ({
  title: item.title || item.id,
  price: money(item.price, item.currency, element),
  bundle: set(item, element).join(''),
  reason: reason(item.reason),
  brand: item.brand ?? '',
  category: item.category ?? '',
});

function image(item) {
  const source = item.image_url && address(item.image_url);
  if (!source) return make('span', 'image');
  const made = make('img', 'image');
  Object.assign(made, { alt: '', width: 240, height: 240, loading: 'lazy', decoding: 'async', src: source }); // its title stands beside it
  return made;
}

function card(item, element) {
  const words = told(item, element), url = item.url && address(item.url);
  const link = make(url ? 'a' : 'span', 'link');
  if (url) link.href = url;
  link.append(image(item), make('span', 'name', words.title));
  const why = words.bundle ? make('span', 'bundle') : words.reason && make('span', 'reason', words.reason);
  if (words.bundle) {
    const [head, rest] = set(item, element);
    why.append(make('span', 'set', head), make('span', 'saves', rest));
  }
  return [link, make('span', 'price', words.price), ...(why ? [why] : [])];
}

// The shop's own markup: data-rapport="title", "price", "reason", "bundle", "brand", "category", "link" or "image".
function filled(template, item, element) {
  const part = template.content.cloneNode(true), words = told(item, element);
  const addresses = { link: ['href', item.url], image: ['src', item.image_url] };
  for (const slot of part.querySelectorAll('[data-rapport]')) {
    const name = slot.dataset.rapport, [attribute, given] = addresses[name] ?? [];
    const value = attribute ? given && address(given) : words[name];
    if (!attribute) slot.textContent = value ?? '';
    else if (value) slot.setAttribute(attribute, value);
    if (name === 'image' && !slot.hasAttribute('alt')) slot.alt = '';
    if (!value && name !== 'link') slot.hidden = true;
  }
  return [part];
}

// The row in `element`, in place of what stood there; whoever had the focus in it keeps it. Answers with its <li>s.
export function draw(element, answer) {
  const { rapportTitle: title, rapportLevel: level } = element.dataset;
  const template = element.querySelector(':scope > template'), old = element.querySelector(':scope > .rapport-row');
  const section = make('section', 'row');
  if (title) {
    const heading = make(`h${/^[2-6]$/.test(level) ? level : 2}`, 'title', title);
    heading.id = `rapport-${++number}`;
    section.setAttribute('aria-labelledby', heading.id);
    section.append(heading);
  }
  const list = make('ul', 'items');
  list.setAttribute('role', 'list'); // Safari forgets that a list without dots is one
  const items = answer.items.map((item) => {
    const made = make('li', 'item');
    made.dataset.rapportItem = item.id;
    made.append(...(template ? filled(template, item, element) : card(item, element)));
    return made;
  });
  list.append(...items);
  section.append(list);
  const focused = old?.contains(document.activeElement) && document.activeElement.closest('[data-rapport-item]')?.dataset.rapportItem;
  if (old) old.replaceWith(section);
  else element.append(section);
  element.hidden = false;
  element.dataset.rapportState = 'shown';
  if (focused) {
    const again = items.find((one) => one.dataset.rapportItem === focused) ?? items[0];
    again.querySelector('a, button')?.focus({ preventScroll: true });
  }
  return items;
}

// There is nothing to show: the place closes as soon as nobody sees it close, so nothing jumps under a reader's eyes.
const closing = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && target.dataset.rapportState === 'empty') continue;
    closing.unobserve(target);
    if (target.dataset.rapportState === 'empty') target.hidden = true;
  }
});

export function collapse(element) {
  element.querySelector(':scope > .rapport-row')?.remove();
  element.dataset.rapportState = 'empty';
  closing.observe(element);
}
