// <form data-island="compose">: a draft that saves itself. htmx sends it; here is what htmx cannot know.
export function mount(form) {
  // A new block gets the focus.
  const blocks = () => [...form.querySelectorAll('.block')].map((block) => block.id);
  let known = blocks();

  // Saves wait for each other (hx-sync). A waiting one was collected before the last answer came, with a version that
  // has passed and blocks that have changed, so each takes what the form says when its turn has come.
  form.addEventListener('htmx:before:request', (event) => {
    const { request, sourceElement } = event.detail.ctx;
    if (sourceElement !== form) return;
    const { submitter } = request;
    const said = new FormData(form);
    if (submitter?.name) said.append(submitter.name, submitter.value);
    request.body = new URLSearchParams(said);
    known = blocks();
  });

  // No answer: say so, and try again until there is one.
  form.addEventListener('htmx:error', (event) => {
    if (event.detail.ctx?.sourceElement !== form) return;
    const words = document.querySelector('#saved .saved-words');
    if (words) words.textContent = form.dataset.lost;
    setTimeout(() => form.dispatchEvent(new Event('change')), 4000);
  });

  // A field is put where the caret was; a choice shows its number while it is dragged.
  form.addEventListener('change', (event) => {
    const { insert } = event.target.dataset;
    if (!insert || !event.target.value) return;
    const field = document.getElementById(insert);
    const { selectionStart: at, selectionEnd: end } = field;
    field.setRangeText(event.target.value, at, end, 'end');
    event.target.value = '';
    field.focus();
  }, { capture: true });
  form.addEventListener('input', (event) => {
    const { output } = event.target.dataset;
    if (output) document.getElementById(output).textContent = `${event.target.value}%`;
  });

  form.addEventListener('htmx:finally:request', (event) => {
    if (event.detail.ctx.sourceElement !== form) return;
    const added = blocks().find((id) => !known.includes(id));
    if (added) document.querySelector(`#${added} :is(input:not([type=hidden]), textarea)`)?.focus();
  });

  // The step one is at.
  const mark = () => {
    const open = [...form.querySelectorAll('.step')].find((step) => step.checkVisibility());
    for (const link of document.querySelectorAll('[data-step]')) {
      if (link.dataset.step === open?.id) link.setAttribute('aria-current', 'step');
      else link.removeAttribute('aria-current');
    }
  };
  addEventListener('hashchange', () => {
    mark();
    const target = document.getElementById(location.hash.slice(1));
    if (!target?.matches('.step')) target?.focus();
  });
  document.addEventListener('htmx:finally:request', mark);
  mark();
}
