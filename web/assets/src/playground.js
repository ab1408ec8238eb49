// The playground of recommendations: asks the question that stands in #request, shows the answer and how long it took,
// and repeats it to draw how the round trips spread.
const svg = (name, attributes, text) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];

const histogram = (times, label, axis) => {
  const sorted = [...times].sort((a, b) => a - b);
  const [low, high] = [sorted[0], sorted.at(-1)];
  const bins = new Array(12).fill(0);
  for (const time of times) bins[Math.min(bins.length - 1, Math.floor(((time - low) / (high - low || 1)) * bins.length))] += 1;
  const most = Math.max(...bins);
  const drawn = svg('svg', { class: 'latency', viewBox: '0 0 360 120', role: 'img', 'aria-label': label });
  bins.forEach((count, bin) => drawn.append(svg('rect', { class: 'latency-bar', x: bin * 30 + 1, width: 28, y: 96 - (90 * count) / most, height: (90 * count) / most, rx: 2 })));
  drawn.append(
    svg('text', { class: 'latency-word', x: 0, y: 114 }, low.toFixed(1)),
    svg('text', { class: 'latency-word', x: 180, y: 114, 'text-anchor': 'middle' }, axis),
    svg('text', { class: 'latency-word', x: 360, y: 114, 'text-anchor': 'end' }, high.toFixed(1)),
  );
  return drawn;
};

export function mount(element) {
  const words = JSON.parse(element.dataset.words);
  const [answer, took, latency, repeat] = ['answer', 'took', 'latency', 'repeat'].map((id) => element.querySelector(`#${id}`));
  let turn = 0;
  let asked = '';

  const ask = async () => {
    const start = performance.now();
    const response = await fetch(element.dataset.ask, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': document.querySelector('meta[name=csrf]').content },
      body: element.querySelector('#request').textContent,
    });
    const text = await response.text();
    const trip = performance.now() - start;
    let told;
    try {
      told = JSON.parse(text);
    } catch {
      told = undefined;
    }
    return { status: response.status, told, text, trip };
  };

  const show = ({ status, told, text, trip }) => {
    const inside = told?.took_ms === undefined ? '' : ` · ${words.took} ${told.took_ms} ms`;
    took.textContent = `HTTP ${status} · ${words.trip} ${trip.toFixed(1)} ms${inside}`;
    took.classList.toggle('bad', status >= 400);
    answer.textContent = told === undefined ? text.slice(0, 2000) : JSON.stringify(told, null, 2);
  };

  const tell = (message, kind) => {
    const line = document.createElement('p');
    line.className = kind;
    line.textContent = message;
    latency.replaceChildren(line);
  };

  const once = async () => {
    const mine = ++turn;
    asked = element.querySelector('#request').textContent;
    latency.replaceChildren();
    try {
      const found = await ask();
      if (mine === turn) show(found);
    } catch {
      if (mine === turn) took.textContent = words.failed;
    }
  };

  const often = async () => {
    const mine = ++turn;
    repeat.disabled = true;
    const [trips, inside] = [[], []];
    let fault = '';
    tell(words.asking, 'quiet');
    try {
      for (let left = Number(element.dataset.repeats); left && !fault && mine === turn; left -= 1) {
        const found = await ask();
        if (mine === turn) show(found);
        if (found.status >= 400) fault = `${words.refused} ${found.told?.error?.message ?? `HTTP ${found.status}`}`;
        trips.push(found.trip);
        inside.push(found.told?.took_ms);
      }
    } catch {
      fault = words.failed;
    }
    repeat.disabled = false;
    if (mine !== turn) return;
    if (fault) {
      tell(fault, 'bad');
      return;
    }
    const [outer, inner] = [trips, inside].map((times) => [...times].sort((a, b) => a - b));
    const facts = document.createElement('p');
    const told = [[words.median, 0.5], [words.p95, 0.95], [words.most, 1]].map(([name, share]) => `${name} ${at(outer, share).toFixed(1)} ms (${words.took} ${at(inner, share).toFixed(1)})`);
    facts.textContent = `${trips.length} × · ${told.join(' · ')}`;
    latency.replaceChildren(histogram(trips, facts.textContent, words.axis), facts);
  };

  repeat.addEventListener('click', often);
  document.addEventListener('htmx:after:swap', () => {
    if (element.isConnected && element.querySelector('#request').textContent !== asked) once();
  });
  once();
}
