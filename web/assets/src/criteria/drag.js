// Dragging conditions and groups by their grip, also into other groups. The page is put back as it was and the server
// told what goes where: its answer draws the new order.
import Sortable from 'sortablejs';

export function drags(form, drop) {
  const told = ({ item, from, to, oldDraggableIndex, newDraggableIndex }) => {
    if (from === to && oldDraggableIndex === newDraggableIndex) return;
    item.remove();
    from.insertBefore(item, from.querySelectorAll(':scope > .crit-node')[oldDraggableIndex] ?? null);
    drop.value = `drop:${item.dataset.place}>${to.dataset.place}.${newDraggableIndex}`;
    form.requestSubmit(drop);
  };
  const animation = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 150;
  return () => {
    for (const list of form.querySelectorAll('.crit-nodes')) {
      if (Sortable.get(list)) continue;
      const takes = () => !list.closest('.crit').classList.contains('crit-not');
      Sortable.create(list, { group: { name: 'criteria', put: takes }, handle: '.crit-grip', draggable: '.crit-node', ghostClass: 'crit-ghost', animation, onEnd: told });
    }
  };
}
