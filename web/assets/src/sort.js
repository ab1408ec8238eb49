// <ol data-island="sort" data-input="order"> of elements with data-id: drag by .drag, or Alt+Up and Alt+Down.
// After each move the hidden input named by data-input holds the ids in order and its form is told ("change").
import Sortable from 'sortablejs';

export function mount(list) {
  const input = document.getElementById(list.dataset.input);
  const told = () => {
    input.value = [...list.children].map((element) => element.dataset.id).join(',');
    input.dispatchEvent(new Event('change', { bubbles: true }));
  };
  Sortable.create(list, { animation: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 150, handle: '.drag', onEnd: told });
  list.addEventListener('keydown', (event) => {
    const element = event.target.closest('[data-id]');
    if (!element || !event.altKey) return;
    const { previousElementSibling: above, nextElementSibling: below } = element;
    const moves = { ArrowUp: above && (() => above.before(element)), ArrowDown: below && (() => below.after(element)) };
    if (!moves[event.key]) return;
    event.preventDefault();
    const focused = document.activeElement;
    moves[event.key]();
    focused.focus();
    told();
  });
}
