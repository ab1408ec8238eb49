// The criteria builder's own behaviour; the builder itself is drawn by the server and morphed in by htmx.
// - undo and redo: the states of #work (data-state) are kept here and sent back through the hidden control "q"
// - an answer never overwrites what was typed meanwhile: typing aborts the request under way, and takes along what a
//   button had asked for with it
// - focus goes where an edit leads (data-focus), into the box to type in where a subject is to be chosen
// - Alt+Up and Alt+Down move the condition that has the focus
// - a name that is being typed is not yet wrong: the server is told which box it is in until it is left
import { drags } from './criteria/drag.js';
import { picker } from './criteria/pick.js';
import { show } from './shell/toasts.js';

const TYPING = 'input, textarea';
const PATIENCE = 3000; // ms; an answer that takes longer is lost

export function mount(form) {
  const work = () => form.querySelector('#work');
  const again = form.querySelector('#state-again');
  const typing = form.querySelector('#typing');
  const verb = form.querySelector('#verb'); // of a button whose answer is under way: what is typed meanwhile takes it along
  const [undo, redo] = ['[data-undo]', '[data-redo]'].map((name) => form.querySelector(name));
  const past = [];
  const future = [];
  let last = work().dataset.state;
  let typedIn = null; // changes at one control in a row are one step
  let lastTypedIn = null;

  const mark = () => {
    undo.disabled = !past.length;
    redo.disabled = !future.length;
  };

  const count = () => form.requestSubmit(form.querySelector('#count'));

  const go = (from, to) => {
    if (!from.length) return;
    to.push(last);
    last = from.pop();
    lastTypedIn = null;
    mark();
    verb.disabled = true;
    again.value = last;
    again.disabled = false;
    count();
    again.disabled = true;
  };

  const refuse = (input) => {
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', 'refused');
    input.addEventListener('input', () => ['aria-invalid', 'aria-describedby'].forEach((name) => input.removeAttribute(name)), { once: true });
    input.focus();
  };

  const focus = (place) => {
    const node = document.getElementById(place);
    if (node?.matches('input')) return refuse(node); // the name, which a save asks for
    const empty = [...(node?.querySelectorAll('.subject, input:not([type=hidden]), textarea') ?? [])].find((control) => !control.value);
    if (empty?.matches('select.subject')) return pick(empty);
    (empty ?? node?.querySelector('[name$=".value"]') ?? node?.querySelector('select') ?? document.getElementById(`${place}:add`))?.focus();
  };

  // Choices stand once in the page; a select takes its own copy when somebody comes to it.
  const fill = (select) => {
    if (!select?.dataset?.choices) return;
    const chosen = select.querySelector('option[selected]') ?? select.selectedOptions[0];
    select.replaceChildren(...document.getElementById(select.dataset.choices).cloneNode(true).children);
    if (![...select.options].some((option) => option.value === chosen.value)) select.prepend(chosen);
    select.value = chosen.value;
  };
  const order = drags(form, form.querySelector('#drop'));
  const pick = picker(form);
  order();
  const come = ({ target }) => { if (target.options?.length < 2) fill(target); };
  form.addEventListener('focusin', come);
  form.addEventListener('pointerdown', (event) => { if (!event.target.matches('.subject')) come(event); }); // before its list opens
  fill(document.activeElement);

  form.addEventListener('input', (event) => {
    typedIn = event.target.id;
    typing.value = event.target.matches('input:not([inputmode]), textarea') ? typedIn : '';
    form.dispatchEvent(new CustomEvent('htmx:abort'));
  });
  form.addEventListener('focusout', () => {
    if (!typing.value) return;
    const is_open = document.getElementById(typing.value)?.closest('.cond')?.querySelector('.crit-open');
    typing.value = '';
    if (is_open) count();
  });
  form.querySelector('#import').addEventListener('input', (event) => event.stopPropagation()); // no part of the state
  // While the answer to a button is under way, places are those of before: another such button waits for a new press,
  // and saving for the answer.
  let pressedAt = 0;
  let deferred = null;
  form.addEventListener('submit', (event) => {
    const asked = event.submitter?.value ?? '';
    const is_waiting = !verb.disabled && Date.now() - pressedAt < PATIENCE;
    if (asked && is_waiting) {
      event.preventDefault();
      event.stopImmediatePropagation();
      deferred = asked.includes(':') ? null : event.submitter;
      return;
    }
    typedIn = null;
    if (asked) verb.disabled = !asked.includes(':');
    if (!asked.includes(':')) return;
    verb.value = asked;
    pressedAt = Date.now();
  }, true);

  const lead = (carried) => {
    const { focus: place } = work().dataset;
    delete work().dataset.focus;
    if (place && !(carried && document.activeElement?.matches(TYPING))) focus(place);
  };

  document.addEventListener('htmx:after:swap', () => {
    if (!form.isConnected) return;
    fill(document.activeElement);
    order();
    for (const option of form.querySelectorAll('option[selected]')) {
      if (option.parentElement.closest('select') !== document.activeElement) option.selected = true; // a chosen select ignores the attribute
    }
    const { state } = work().dataset;
    const carried = !verb.disabled && typedIn;
    verb.disabled = true;
    if (state !== last) {
      if (!typedIn || typedIn !== lastTypedIn) past.push(last);
      lastTypedIn = typedIn;
      future.length = 0;
      last = state;
      mark();
    }
    lead(carried);
    if (deferred?.isConnected) form.requestSubmit(deferred);
    deferred = null;
    const dialog = form.querySelector('dialog[open]');
    if (!dialog?.querySelector('[aria-invalid]')) dialog?.close();
  });

  undo.addEventListener('click', () => go(past, future));
  redo.addEventListener('click', () => go(future, past));
  document.addEventListener('keydown', (event) => {
    if (!form.isConnected || document.querySelector('dialog[open]')) return;
    const key = (event.ctrlKey || event.metaKey) && event.key.toLowerCase();
    if ((key === 'z' || key === 'y') && !event.target.matches(TYPING)) {
      event.preventDefault();
      if (event.shiftKey || key === 'y') go(future, past);
      else go(past, future);
    }
    const verb = event.altKey && { ArrowUp: 'up', ArrowDown: 'down' }[event.key];
    const button = verb && event.target.closest('.cond, .crit:not(.crit-root)')?.querySelector(`[data-move=${verb}]`);
    if (button) {
      event.preventDefault();
      button.click();
    }
  });

  form.addEventListener('click', (event) => { if (event.target.closest('.list-menu [data-copy]')) show({ message: form.dataset.copyTold }); });

  // Menus close when something else is pressed.
  const menus = () => form.querySelectorAll('.list-more[open], .crit-more[open]');
  document.addEventListener('click', (event) => {
    for (const menu of menus()) if (!menu.contains(event.target) || event.target.closest('.list-menu')) menu.open = false;
  });
  form.addEventListener('keydown', (event) => {
    const menu = event.key === 'Escape' && event.target.closest('details[open]');
    if (!menu) return;
    menu.open = false;
    menu.querySelector('summary').focus();
  });

  lead(false); // what was pressed before this script was here
}
