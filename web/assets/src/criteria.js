// The criteria builder's own behaviour; the builder itself is drawn by the server and morphed in by htmx.
// - undo and redo: the states of #work (data-state) are kept here and sent back through the hidden control "q"
// - an answer never overwrites what was typed meanwhile: typing aborts the request under way
// - focus goes where an edit leads (data-focus), Alt+Up and Alt+Down move the condition that has it
const TYPING = 'input, textarea';

export function mount(form) {
  const work = () => form.querySelector('#work');
  const again = form.querySelector('#state-again');
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

  const go = (from, to) => {
    if (!from.length) return;
    to.push(last);
    last = from.pop();
    lastTypedIn = null;
    mark();
    again.value = last;
    again.disabled = false;
    form.requestSubmit(form.querySelector('#count'));
    again.disabled = true;
  };

  const focus = (place) => {
    const node = document.getElementById(place);
    const empty = [...(node?.querySelectorAll('.subject, input:not([type=hidden]), textarea') ?? [])].find((control) => !control.value);
    (empty ?? node?.querySelector('[name$=".value"]') ?? node?.querySelector('select') ?? document.getElementById(`${place}:add`))?.focus();
  };

  // Every condition can be about the same things: they stand once in the page, and each select takes its own copy.
  const fill = () => {
    for (const select of form.querySelectorAll('select[data-choices]')) {
      const chosen = select.querySelector('option[selected]') ?? select.selectedOptions[0];
      const choices = document.getElementById(select.dataset.choices).cloneNode(true).children;
      select.replaceChildren(...choices);
      if (![...select.options].some((option) => option.value === chosen.value)) select.prepend(chosen);
      select.value = chosen.value;
    }
  };
  fill();

  form.addEventListener('input', (event) => {
    typedIn = event.target.id;
    form.dispatchEvent(new CustomEvent('htmx:abort'));
  });
  form.addEventListener('submit', () => { typedIn = null; });

  document.addEventListener('htmx:after:swap', () => {
    if (!form.isConnected) return;
    fill();
    for (const option of form.querySelectorAll('option[selected]')) {
      if (option.parentElement.closest('select') !== document.activeElement) option.selected = true; // a chosen select ignores the attribute
    }
    const { state, focus: place } = work().dataset;
    if (state !== last) {
      if (!typedIn || typedIn !== lastTypedIn) past.push(last);
      lastTypedIn = typedIn;
      future.length = 0;
      last = state;
      mark();
    }
    if (place) {
      delete work().dataset.focus;
      focus(place);
    }
    form.querySelector('dialog[open]')?.close();
  });

  undo.addEventListener('click', () => go(past, future));
  redo.addEventListener('click', () => go(future, past));
  document.addEventListener('keydown', (event) => {
    if (!form.isConnected || document.querySelector('dialog[open]')) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z' && !event.target.matches(TYPING)) {
      event.preventDefault();
      if (event.shiftKey) go(future, past);
      else go(past, future);
    }
    const verb = event.altKey && { ArrowUp: 'up', ArrowDown: 'down' }[event.key];
    const button = verb && event.target.closest('.cond, .crit:not(.crit-root)')?.querySelector(`[data-move=${verb}]`);
    if (button) {
      event.preventDefault();
      button.click();
    }
  });

  const more = form.querySelector('.list-more');
  document.addEventListener('click', (event) => { if (!more.contains(event.target)) more.open = false; });
  more.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    more.open = false;
    more.querySelector('summary').focus();
  });
  more.addEventListener('click', (event) => { if (event.target.closest('button, a')) more.open = false; });
}
