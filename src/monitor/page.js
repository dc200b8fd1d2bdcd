// Reads status.json once a second and shows it. Text goes into the page as text, never as markup.
'use strict';

const POLL_MS = 1000, PATIENCE_MS = 5000, TABLE_STEP = 10;
const WIDTH = 420, HEIGHT = 130, LEFT = 44, RIGHT = 6, TOP = 8, BOTTOM = 18;

const charts = [
  {id: 'rate', title: 'Frames a second', unit: '', series: [['frames_per_s', 'begun'], ['replies_per_s', 'answered']]},
  {id: 'latency', title: 'Latency', unit: 'ms', log: true, series: [['latency_p50_ms', 'median'], ['latency_p99_ms', '99 %']]},
  {id: 'loss', title: 'Lost work', unit: '', series: [['partial_share', 'partial, %', 100], ['unanswered_per_s', 'unanswered / s']]},
  {id: 'bytes', title: 'Bytes a second', unit: 'kB', series: [['bytes_in_per_s', 'received', 1e-3], ['bytes_out_per_s', 'sent', 1e-3]]},
  {id: 'queue', title: 'Queue depth', unit: '', series: [['queue_depth', 'frames waiting']]},
  {id: 'bad', title: 'Bad packets a second', unit: '', series: [['bad_packets_per_s', 'refused']]},
  {id: 'accuracy', title: 'As reported', unit: '%', series: [['accuracy', 'right', 100], ['fallback_share', 'without the server', 100]]},
];

// ---- numbers as text

function number(value, digits) {
  if (value === null || value === undefined) return '–';
  return value.toLocaleString('en', {maximumFractionDigits: digits === undefined ? 1 : digits});
}

// About three significant digits, without exponents.
function short(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  return number(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function milliseconds(value) {
  if (value === null || value === undefined) return '–';
  return value >= 10000 ? short(value / 1000) + ' s' : short(value) + ' ms';
}

function bytes(value) {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit++; }
  return short(value) + ' ' + units[unit];
}

function percent(share) {
  return share === null || share === undefined ? '–' : short(100 * share) + ' %';
}

function span(seconds) {
  const s = Math.floor(seconds), days = Math.floor(s / 86400), clock = [Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60];
  return (days ? days + ' d ' : '') + clock.map(part => String(part).padStart(2, '0')).join(':');
}

// ---- pieces of the page

function byId(id) { return document.getElementById(id); }

function put(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

function make(name, attributes, text) {
  const element = document.createElement(name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  return element;
}

function draw(name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Rows of [text, class] cells, the first one a heading of its row.
function fill(id, rows) {
  byId(id).replaceChildren(...rows.map(row => {
    const tr = make('tr', row.seen ? {class: 'seen'} : {});
    row.cells.forEach((cell, i) => {
      const element = make(i === 0 ? 'th' : 'td', cell[1] ? {class: cell[1]} : {});
      if (i === 0) element.setAttribute('scope', 'row');
      if (cell[0] instanceof Node) element.append(cell[0]); else element.textContent = cell[0];
      tr.append(element);
    });
    return tr;
  }));
}

// ---- charts: a picture, and its figures as a table behind it

function buildCharts() {
  for (const chart of charts) {
    const figure = make('figure', {id: 'chart-' + chart.id}), caption = make('figcaption', {}, chart.title + (chart.unit ? ', ' + chart.unit : ''));
    const legend = make('span', {class: 'legend'});
    chart.series.forEach((series, i) => {
      if (i) legend.append(' · ');
      legend.append(make('b', {class: i ? 'second' : 'first'}, i ? '╌ ' : '— '), series[1]);
    });
    caption.append(legend);
    chart.svg = draw('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img'});
    const details = make('details'), table = make('table'), head = make('tr'), thead = make('thead');
    head.append(make('th', {scope: 'col'}, 'Seconds ago'));
    for (const series of chart.series) head.append(make('th', {scope: 'col', class: 'number'}, series[1]));
    thead.append(head);
    table.append(thead, make('tbody', {id: 'table-' + chart.id}));
    details.append(make('summary', {}, 'Table'), table);
    figure.append(caption, chart.svg, details);
    chart.details = details;
    byId('charts').append(figure);
  }
}

// The smallest of 1, 2, 5 x 10^n that is not below the value.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = Math.pow(10, Math.floor(Math.log10(value)));
  for (const step of [1, 2, 5, 10]) if (step * power >= value) return step * power;
  return 10 * power;
}

// Height of a value above the ground line as a share of the chart's, and the marks at its side.
function linear(top) {
  return {place: value => Math.min(value / top, 1), marks: [0, top / 2, top]};
}

function logarithmic(values) {
  const floor = 0.1, decades = Math.max(2, Math.ceil(Math.log10(Math.max(floor, ...values) / floor)));
  return {place: value => Math.min(Math.max(Math.log10(value / floor) / decades, 0), 1),
          marks: Array.from({length: decades + 1}, (_, i) => floor * Math.pow(10, i))};
}

// Path of the points that have a value; gaps stay gaps.
function path(values, ages, oldest, scale) {
  let text = '', pen = false;
  values.forEach((value, i) => {
    if (value === null) { pen = false; return; }
    const x = LEFT + (WIDTH - LEFT - RIGHT) * (1 - ages[i] / oldest);
    const y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * scale.place(value);
    text += (pen ? 'L' : 'M') + x.toFixed(1) + ' ' + y.toFixed(1);
    // A lone point is drawn as a short stroke.
    if (!pen && (i + 1 >= values.length || values[i + 1] === null)) text += 'h1';
    pen = true;
  });
  return text;
}

function drawChart(chart, history, ages) {
  const minutesShown = Math.min(5, Math.max(1, Math.ceil((ages[0] || 0) / 60))), oldest = 60 * minutesShown;
  const lines = chart.series.map(([key, , factor]) => history[key].map(v => v === null ? null : v * (factor || 1)));
  const values = lines.flat().filter(v => v !== null);
  const scale = chart.log ? logarithmic(values) : linear(ceiling(Math.max(0, ...values)));
  const parts = scale.marks.flatMap(mark => {
    const y = HEIGHT - BOTTOM - scale.place(mark) * (HEIGHT - TOP - BOTTOM);
    return [draw('line', {class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y}),
            draw('text', {x: LEFT - 5, y: y + 3, 'text-anchor': 'end'}, short(mark))];
  });
  for (let minutes = minutesShown; minutes >= 0; minutes--) {
    const x = LEFT + (WIDTH - LEFT - RIGHT) * (1 - minutes * 60 / oldest);
    parts.push(draw('text', {x: x, y: HEIGHT - 4, 'text-anchor': minutes ? 'middle' : 'end'}, minutes ? `−${minutes} min` : 'now'));
  }
  lines.forEach((values, i) => parts.push(draw('path', {class: (i ? 'second' : 'first') + ' line', d: path(values, ages, oldest, scale)})));
  chart.svg.replaceChildren(...parts);
  const latest = lines.map((values, i) => `${chart.series[i][1]} ${short(values[values.length - 1])}`);
  chart.svg.setAttribute('aria-label', `${chart.title}${chart.unit ? ', ' + chart.unit : ''}, last minutes; now ${latest.join(', ')}`);
  if (!chart.details.open) return;
  const rows = [];
  for (let i = ages.length - 1; i >= 0; i -= TABLE_STEP)
    rows.push({cells: [[number(ages[i], 0)], ...lines.map(values => [short(values[i]), 'number'])]});
  fill('table-' + chart.id, rows);
}

function drawCharts(history) {
  const ages = new Array(history.seconds.length);
  let age = 0;
  for (let i = ages.length - 1; i >= 0; i--) { ages[i] = age; age += history.seconds[i]; }
  for (const chart of charts) drawChart(chart, history, ages);
}

// ---- the rest

function showState(status) {
  const badge = byId('state'), problem = status.unhealthy || status.unready;
  put('state', problem || 'serving');
  badge.className = 'badge ' + (problem ? 'bad' : 'good');
  put('uptime', span(status.uptime_s));
  put('workers', number(status.workers, 0));
  put('version', `version ${status.version} (${status.commit})`);
}

function showNow(status) {
  const recent = status.recent, totals = status.totals;
  const unanswered = status.errors.filter(e => ['evicted', 'busy', 'expired', 'failed'].includes(e.kind)).reduce((sum, e) => sum + e.count, 0);
  put('devices', number(status.devices, 0));
  put('dtls', status.dtls.keys ? `${number(status.dtls.sessions, 0)} with DTLS` : 'remembered peers');
  put('frames-rate', short(recent.frames_per_s));
  put('frames-total', number(totals.frames, 0));
  put('latency-p50', milliseconds(recent.latency_p50_ms));
  put('latency-p90', milliseconds(recent.latency_p90_ms));
  put('latency-p99', milliseconds(recent.latency_p99_ms));
  put('latency-max', milliseconds(status.latency.max_ms));
  put('partial', percent(recent.partial_share));
  put('unanswered', short(recent.unanswered_per_s) + ' /s');
  put('unanswered-total', number(unanswered, 0));
  put('bytes-in', bytes(recent.bytes_in_per_s) + '/s');
  put('bytes-out', bytes(recent.bytes_out_per_s) + '/s');
  put('bytes-frame', totals.frames ? bytes(totals.bytes_in / totals.frames) : '–');
  put('bytes-total', bytes(totals.bytes_in + totals.bytes_out));
  put('queue', number(status.queue.depth, 0));
  put('queue-max', number(status.queue.max, 0));
  put('queue-limit', number(status.queue.limit, 0));
  put('batch', short(recent.frames_a_batch));
  put('inference', milliseconds(recent.inference_p50_ms));
}

function bar(share) {
  const svg = draw('svg', {viewBox: '0 0 100 8', role: 'img', 'aria-label': percent(share), preserveAspectRatio: 'none'});
  svg.append(draw('rect', {class: 'bar', x: 0, y: 0, width: 100 * share, height: 8}));
  return svg;
}

function showTables(status) {
  const n = value => [number(value, 0), 'number'], ms = value => [milliseconds(value), 'number'];
  fill('models', status.models.map(m => ({cells: [[m.name || '(no name)', 'name'], [m.id], n(m.packets), n(m.frames), n(m.replies), n(m.failed), n(m.in_hand)]})));
  fill('times', [['Frame, first packet to answer', status.latency], ['Waiting in the queue', status.queue_wait], ['Inference', status.inference]]
    .map(([name, h]) => ({cells: [[name], ms(h.mean_ms), ms(h.p50_ms), ms(h.p90_ms), ms(h.p99_ms), ms(h.max_ms)]})));
  fill('errors', status.errors.map(e => ({seen: e.count > 0, cells: [[e.text], [e.kind], n(e.count)]})));
  const all = status.batches.reduce((sum, b) => sum + b.count, 0);
  fill('batches', status.batches.map((b, i) => {
    const from = i ? status.batches[i - 1].up_to + 1 : 1, share = all ? b.count / all : 0;
    return {cells: [[from === b.up_to ? String(from) : `${from}–${b.up_to}`], n(b.count), [bar(share)]]};
  }));
}

// Only where somebody who knows the labels reports.
function showAccuracy(accuracy, recent) {
  byId('accuracy-card').hidden = byId('fallback-card').hidden = byId('chart-accuracy').hidden = !accuracy;
  if (!accuracy) return;
  put('accuracy', percent(recent.accuracy));
  put('accuracy-all', percent(accuracy.share));
  put('accuracy-count', number(accuracy.predictions, 0));
  put('fallback', percent(recent.fallback_share));
  put('fallback-all', percent(accuracy.fallback_share));
  put('paused-all', percent(accuracy.paused_share));
}

async function poll() {
  try {
    const answer = await fetch('status.json', {cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS)});
    if (!answer.ok) throw new Error(answer.status);
    const status = await answer.json();
    showState(status);
    showNow(status);
    showAccuracy(status.accuracy, status.recent);
    showTables(status);
    drawCharts(status.history);
    document.body.dataset.updates = Number(document.body.dataset.updates || 0) + 1;
  } catch (problem) {
    put('state', 'no answer');
    byId('state').className = 'badge bad';
  }
  setTimeout(poll, POLL_MS);
}

buildCharts();
poll();
