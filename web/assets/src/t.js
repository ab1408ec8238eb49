// The snippet on a shop's pages (docs/tracking.md, docs/storefront.md): rapport('page'), rapport('item', 'SKU') ... A classic
// script that stands alone.
// Every event lies in the browser's storage under a key of its own until the server has it, and the key makes it count once:
// what a closed page sends may arrive twice and counts once, what it did not get off leaves with the next page.
import { wording } from './storefront/draw.js';
import { fits, ROW, rows } from './storefront/rows.js';

(() => {
  const tag = document.currentScript;
  const site = tag?.dataset.site || tag?.dataset.key;
  if (!site) return;
  const door = new URL('collect', tag.src).href;
  const asks = tag.dataset.consent === 'ask'; // nothing is stored or sent before rapport('consent', true)
  const HOUR = 36e5, DAY = 24 * HOUR, MOST = 100, BATCH = 40, NAME = 'rapport_visitor', PREFIX = 'rapport.';
  const memory = {}; // where the browser allows no storage

  let storage;
  try { storage = localStorage; storage.setItem(PREFIX, 1); storage.removeItem(PREFIX); } catch { storage = null; }
  const keys = () => [...Object.keys(storage ?? {}), ...Object.keys(memory)].filter((k) => k.startsWith(`${PREFIX}e.`)).sort();
  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
  const get = (k) => { try { return JSON.parse(memory[k] ?? storage.getItem(k)); } catch { return null; } };
  const read = (k) => get(PREFIX + k);
  const keep = (k, v) => {
    const text = JSON.stringify(v);
    try { storage.setItem(PREFIX + k, text); } catch { memory[PREFIX + k] = text; }
  };
  const drop = (k) => { storage?.removeItem(k); delete memory[k]; };

  const refuses = navigator.globalPrivacyControl === true;
  let allowed = !refuses && (read('consent') ?? !asks) === true;
  let waiting = []; // of this page, before anybody said yes or no
  let timer, busy, route, came; // came: the word of where somebody was before

  const cookie = (value, life) => { document.cookie = `${NAME}=${value};path=/;max-age=${life};SameSite=Lax${location.protocol === 'https:' ? ';Secure' : ''}`; };
  const shape = (v) => (/^[\w-]{16,64}$/.test(v ?? '') ? v : '');

  // A flyer of ours hands over a signed word, once: out of the address with it, before anybody copies that.
  came = new URLSearchParams(location.search).get(NAME)?.slice(0, 200);
  if (came !== undefined) {
    const rest = location.search.slice(1).split('&').filter((part) => !part.startsWith(`${NAME}=`)).join('&');
    history.replaceState(history.state, '', location.pathname + (rest && `?${rest}`) + location.hash);
  }

  function visitor() {
    let name = shape(document.cookie.match(`(?:^|; )${NAME}=([^;]*)`)?.[1]) || shape(read('visitor'));
    name ||= random();
    cookie(name, 31536000);
    keep('visitor', name);
    return name;
  }

  const cut = (text, most) => Array.from(text.slice(0, 2 * most)).slice(0, most).join(''); // never half a character

  function note(type, data = {}) {
    if (refuses || (!allowed && read('consent') === false)) return;
    const at = Date.now();
    const event = { key: at.toString(36) + random(), type, at, ...data }; // keys in the order of time
    if (!allowed) { if (waiting.length < MOST) waiting.push(event); return; }
    event.visitor = visitor();
    if (came) { event.came_as = came; came = ''; }
    const all = keys();
    if (all.length >= MOST) drop(all[0]);
    keep(`e.${event.key}`, event);
    timer ||= setTimeout(send, 300);
  }

  function batch() {
    const events = [];
    let size = 0;
    for (const k of keys()) {
      const event = get(k);
      if (!event || Date.now() - event.at > 7 * DAY) { drop(k); continue; }
      size += JSON.stringify(event).length * 2;
      if (events.length === BATCH || size > 5e4) break;
      events.push(event);
    }
    return events;
  }

  const body = (events) => JSON.stringify({ site, sent: Date.now(), events });

  async function send() {
    timer = 0;
    const events = allowed ? batch() : [];
    if (busy || !events.length) return;
    busy = true;
    let answer;
    try {
      answer = await fetch(door, { method: 'POST', body: body(events), keepalive: true, mode: 'cors', credentials: 'omit', referrerPolicy: 'origin' });
    } catch { /* the next page tries again */ }
    busy = false;
    if (answer && answer.status < 500 && answer.status !== 403 && answer.status !== 429) { // taken, or never to be
      for (const event of events) drop(`${PREFIX}e.${event.key}`);
      if (keys().length) timer ||= setTimeout(send, 300);
    } else timer ||= setTimeout(send, 15e3);
  }

  // A page that goes cannot wait for an answer: what it sends stays in storage, and the key lets it count once.
  function leave() {
    const events = allowed ? batch() : [];
    if (events.length) navigator.sendBeacon(door, body(events));
  }

  function page(data) {
    const query = new URLSearchParams(location.search);
    const more = {};
    for (const [name, value] of query) if (/^utm_(source|medium|campaign|term|content)$/.test(name)) more[name] = cut(value, 200);
    const from = document.referrer;
    if (from && new URL(from).host !== location.host && !route) more.referrer = cut(from, 500);
    route = location.pathname + location.search;
    const address = location.origin + location.pathname + (String(query) && `?${query}`);
    note('page_view', { url: cut(address, 1000), title: cut(document.title, 300), ...more, ...data });
  }

  // Items looked at in this visit, the newest last; an hour of silence ends it, as it does where visits are learned from.
  let visit = [];
  const seen = () => {
    if (!allowed) return [];
    const { at, items } = read('seen') ?? {};
    return [...new Set([...(Date.now() - at < HOUR ? items : []), ...visit].reverse())].reverse().filter(fits).slice(-20);
  };
  function look(item) {
    if (fits(item)) visit = [...visit, String(item)].slice(-20);
    if (allowed) keep('seen', { at: Date.now(), items: seen() });
  }

  // Who asks for recommendations: nobody before consent; else the visitor, or whom the shop's server signed for.
  let signed;
  const sign = ({ customer, signature }) => { if (customer && signature) signed = { contact: customer, signature }; };
  const who = () => (allowed ? { visitor: visitor(), ...signed } : {});

  function moved() { if (route !== undefined && route !== location.pathname + location.search) page(); }
  for (const name of ['pushState', 'replaceState']) {
    const plain = history[name];
    history[name] = function (...told) { plain.apply(this, told); setTimeout(moved); };
  }
  addEventListener('popstate', () => setTimeout(moved));

  function consent(yes) {
    allowed = yes === true && !refuses;
    if (refuses) return;
    if (!allowed) { keys().forEach(drop); drop(`${PREFIX}visitor`); drop(`${PREFIX}seen`); cookie('', 0); waiting = []; visit = []; signed = undefined; }
    keep('consent', allowed);
    if (!allowed) return;
    const held = waiting;
    waiting = [];
    for (const { type, key, at, ...data } of held) note(type, data);
  }

  const calls = {
    page,
    consent,
    item: (item, data) => { look(item); note('item_view', { item, ...data }); },
    search: (query, data) => note('search', { query, ...data }),
    cart_add: (item, data) => note('cart_add', { item, ...data }),
    cart_remove: (item, data) => note('cart_remove', { item, ...data }),
    order: (order, data) => note('order', { order, ...data }),
    sign,
    identify: (word) => { sign(word); note('identify', word); },
    recommend: (element) => recommend(element),
    words: (table) => Object.assign(wording, table),
  };
  const unsign = () => { const was = signed; signed = undefined; return was; };
  const recommend = rows({ door: new URL('api/v1/recommendations', tag.src).href, key: tag.dataset.key, who, unsign, seen, note });
  const call = (name, ...told) => {
    if (calls[name]) calls[name](...told);
    else console.warn(`rapport: there is no call '${name}'`);
  };
  const before = window.rapport?.q ?? [];
  window.rapport = Object.assign(call, { recommend });
  for (const told of before) call(...told);
  addEventListener('pagehide', leave);
  addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') leave(); });
  if (allowed && keys().length) send();
  const start = () => { if (document.querySelector(ROW)) recommend(); };
  if (document.readyState === 'loading') addEventListener('DOMContentLoaded', start);
  else start();
})();
