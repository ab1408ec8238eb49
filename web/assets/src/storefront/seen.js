// An impression is half of an item on the screen for a second (the Media Rating Council's measure of a viewable one),
// told once for each item of an answer; a click is one on a link or button of the item.
const SECOND = 1000;

export function watch(note) {
  const about = new WeakMap(); // <li>: what is told of it
  const there = new Map(); // <li> on the screen: the timer of its second

  const told = (target) => {
    there.delete(target);
    observer.unobserve(target);
    if (target.isConnected) note('impression', about.get(target));
  };
  const begin = (target) => there.set(target, document.visibilityState === 'visible' && setTimeout(told, SECOND, target));
  const observer = new IntersectionObserver((entries) => {
    for (const { target, intersectionRatio } of entries) {
      clearTimeout(there.get(target));
      there.delete(target);
      if (intersectionRatio >= 0.5) begin(target);
    }
  }, { threshold: 0.5 });
  document.addEventListener('visibilitychange', () => {
    for (const [target, timer] of [...there]) {
      clearTimeout(timer);
      begin(target);
    }
  });

  function clicked({ type, button, target, currentTarget }) {
    if ((type === 'click' || button === 1) && target.closest('a, button')) note('recommendation_click', about.get(currentTarget));
  }

  return function impression(items, { recommendation_id, placement, variant, items: offered }) {
    items.forEach((item, place) => {
      const { id, source, rank } = offered[place];
      about.set(item, { item: id, recommendation_id, placement, variant, source, rank });
      observer.observe(item);
      item.addEventListener('click', clicked);
      item.addEventListener('auxclick', clicked); // a new tab by the middle button
    });
  };
}
