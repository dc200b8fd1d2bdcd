-- A results file (version 1) with plans of every kind that a report shows: systems side by side, a grid of settings,
-- methods, hostile text, runs without a result, nothing known, curves. The figures are made up.
CREATE TABLE meta (key TEXT PRIMARY KEY, value);
CREATE TABLE plans (name TEXT PRIMARY KEY, question TEXT, text TEXT);
CREATE TABLE runs (plan TEXT, id TEXT, place INTEGER, dataset TEXT, preset TEXT, system TEXT, design TEXT, settings TEXT,
  seed INTEGER, preset_text TEXT, state TEXT, reason TEXT, split TEXT, images INTEGER, images_seen REAL, accuracy REAL,
  silent_accuracy REAL, float_accuracy REAL, skewness REAL, disorder_rate REAL, reference_valid REAL, alpha REAL,
  sent_share REAL, bytes_mean REAL, packets REAL, packet_bytes REAL, reply_bytes REAL, extract_instructions REAL,
  local_instructions REAL, encode_instructions REAL, ram_bytes REAL, flash_bytes REAL, train_seconds REAL, seconds REAL,
  commit_id TEXT, machine TEXT, threads INTEGER, started TEXT, command TEXT, PRIMARY KEY (plan, id));
CREATE TABLE curves (plan TEXT, id TEXT, curve TEXT, label TEXT, x REAL, figure TEXT, value REAL,
  PRIMARY KEY (plan, id, curve, label, x, figure));
INSERT INTO meta VALUES ('version', 1);
INSERT INTO plans VALUES
  ('systems', 'Which system is the most accurate, and what does it cost?', '[plan]' || char(10) || 'presets = all of them'),
  ('grid', 'How do k and rho trade accuracy against skewness?', '[grid]' || char(10) || 'joint.rho = 0.7 0.8 0.9'),
  ('methods', 'Does the way to measure importance matter?', NULL),
  ('<script>alert("plan")</script>', 'Is <script>alert("question")</script> & "this" escaped | **here**?', '</pre><script>alert(1)</script>'),
  ('empty', 'A plan that nobody has run', '');

-- systems: five presets of two data sets, three seeds
CREATE TEMP TABLE presets (preset, dataset, system, accuracy, alone, bytes, packets, extract, local, encode, ram, flash);
INSERT INTO presets VALUES
  ('cifar10-lean', 'cifar10', 'agilenn', 0.842, 0.78, 144.0, 1.0, 1500000, 40000, 60000, 24000, 90000),
  ('cifar10-deepcod', 'cifar10', 'deepcod', 0.68, NULL, 99.0, 1.0, 50000, 0, 10000, 5300, 37000),
  ('cifar10-spinn', 'cifar10', 'spinn', 0.815, 0.69, 1078.0, 2.0, 1800000, 30000, 90000, 37000, 65000),
  ('cifar10-edge-only', 'cifar10', 'edge-only', 0.827, NULL, 247.0, 1.0, 0, 0, 106000, 6700, 23500),
  ('cifar10-local-only', 'cifar10', 'local-only', 0.787, 0.787, 0.0, NULL, 4300000, 10000, NULL, 23600, 112000),
  ('fashion-v1', 'fashion-mnist', 'agilenn', 0.9147, 0.8746, 170.0, 1.0, 1200000, 50000, 60000, 4300, 25000),
  ('fashion-deepcod', 'fashion-mnist', 'deepcod', 0.8815, NULL, 62.9, 1.0, 29000, 0, 9800, 3900, 36600),
  ('fashion-local-only', 'fashion-mnist', 'local-only', 0.9234, 0.9234, 0.0, NULL, 1970000, 2000, NULL, 19200, 63900);
CREATE TEMP TABLE seeds (seed);
INSERT INTO seeds VALUES (1), (2), (3);
INSERT INTO runs
SELECT 'systems', printf('%016x', 1000 * p.rowid + seed), 10 * p.rowid + seed, dataset, preset, system, '', '{}', seed,
  '[data]' || char(10) || 'height = 32' || char(10) || 'width = 32' || char(10) || 'channels = 3' || char(10),
  'done', NULL, 'test', 10000, 500000, accuracy + 0.003 * (seed - 2), alone, accuracy + 0.001, 0.83, 0.001, 0.86, 0.27,
  CASE WHEN packets IS NULL THEN 0 ELSE 1 END, bytes + seed, packets, bytes - 28, 36, extract, local, encode, ram, flash,
  300, 360, 'abc1234', 'Xeon, 2 cores', 2, '2026-01-0' || seed || ' 10:00:00',
  printf('agilenn sweep bench/plans/systems.ini --only %016x --out r.sqlite', 1000 * p.rowid + seed)
FROM presets p, seeds;

-- grid: k by rho, two seeds; one run diverged, one failed, one under way
CREATE TEMP TABLE ks (k);
INSERT INTO ks VALUES (3), (5), (8);
CREATE TEMP TABLE rhos (rho);
INSERT INTO rhos VALUES (0.7), (0.8), (0.9);
INSERT INTO runs
SELECT 'grid', printf('a%015x', 100 * k + 10 * CAST(10 * rho AS INTEGER) + seed), 100 * k + CAST(100 * rho AS INTEGER) + 1000 * seed,
  'cifar100', 'cifar100-lean', 'agilenn', printf('joint.rho=%g model.local_channels=%d', rho, k),
  json_object('joint.rho', rho, 'model.local_channels', k), seed,
  '[model]' || char(10) || 'extractor = conv:c16:s2 conv:c24' || char(10) || 'local_channels = ' || k || char(10),
  'done', NULL, 'validation', 2000, 120000, 0.70 + 0.004 * k - 0.1 * (rho - 0.7) + 0.002 * seed, 0.6, 0.7, rho + 0.03, 0.02, 0.8, 0.2,
  1, 400 - 10 * k, 1, 372 - 10 * k, 130, 2000000, 50000, 80000, 6000, 30000, 100, 120, 'abc1234', 'Xeon, 2 cores', 2,
  '2026-01-02 10:00:00', 'agilenn sweep bench/plans/grid.ini --only x --out r.sqlite --jobs 2'
FROM ks, rhos, seeds WHERE seed <= 2;
UPDATE runs SET state = 'diverged', reason = 'the loss is not finite in epoch 2', accuracy = NULL WHERE plan = 'grid' AND place = 2380;
UPDATE runs SET state = 'failed', reason = 'killed by signal 9', accuracy = NULL WHERE plan = 'grid' AND place = 2580;
UPDATE runs SET state = 'running', accuracy = NULL WHERE plan = 'grid' AND place = 2880;

-- methods: texts as values, and lambda beside
INSERT INTO runs SELECT 'methods', printf('b%015x', column2), column2, 'cifar100', 'cifar100-lean', 'agilenn',
  'joint.method=' || column1, json_object('joint.method', column1), 1, '', 'done', '', 'validation', 2000, 120000, column3,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (VALUES ('gradient', 1, 0.71), ('ig-trapezoid', 2, 0.72));
INSERT INTO runs SELECT 'methods', printf('c%015x', column2), column2 + 10, 'cifar100', 'cifar100-lean', 'agilenn',
  'joint.lambda=' || column1, json_object('joint.lambda', column1), 1, '', 'done', '', 'validation', 2000, 120000, column3,
  NULL, NULL, 0.8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (VALUES (0.2, 1, 0.70), (0.4, 2, 0.73), (0.8, 3, 0.74));
-- the same run in two plans
INSERT INTO runs SELECT 'methods', id, place, dataset, preset, system, design, settings, seed, preset_text, state, reason, split, images,
  images_seen, accuracy, silent_accuracy, float_accuracy, skewness, disorder_rate, reference_valid, alpha, sent_share, bytes_mean,
  packets, packet_bytes, reply_bytes, extract_instructions, local_instructions, encode_instructions, ram_bytes, flash_bytes,
  train_seconds, seconds, commit_id, machine, threads, started, command FROM runs WHERE plan = 'grid' AND place = 1370;

-- hostile: markup in every text, numbers that are none, nothing at all
INSERT INTO runs (plan, id, place, dataset, preset, system, design, settings, seed, preset_text, state, reason, split, images, accuracy,
  bytes_mean, packets, packet_bytes, commit_id, machine, command, sent_share, extract_instructions, encode_instructions) VALUES
  ('<script>alert("plan")</script>', '<img src=x onerror=alert(1)>', 1, '<b>set</b>', '<i>preset</i>', '"><script>alert(2)</script>',
   'a=<script>', '{"a": "<script>alert(3)</script>", "joint.lambda": "</table>"}', 1, char(1, 2, 27) || '<', 'done', NULL, 'test', 9e999,
   0.5, 9e999, -1, 'many', '<script>', '</td><script>', 'agilenn sweep "<script>" --only', 'x', -9e999, 1e300),
  ('<script>alert("plan")</script>', '2', 2, 'x', 'x', 'x', '', 'not json {{{', 9e99, NULL, 'failed', '<script>alert("reason")</script>' ||
   x'ff00fe', 'test', -5, 7.5, 1, 0.5, 1, NULL, NULL, NULL, 3, NULL, NULL);
INSERT INTO runs (plan, id) VALUES (NULL, NULL), ('', 'only an id');

-- curves
INSERT INTO curves SELECT 'systems', id, 'loss', '', column1 / 10.0, 'accuracy', accuracy - 0.1 * column1 / 10.0
FROM runs, (VALUES (0), (1), (3), (5)) WHERE plan = 'systems' AND dataset = 'cifar10' AND system IN ('agilenn', 'deepcod');
INSERT INTO curves SELECT 'systems', id, 'shift', column1, column2, 'accuracy', accuracy - 0.05 * column2
FROM runs, (VALUES ('noise', 1), ('noise', 3), ('blur', 1), ('blur', 3)) WHERE plan = 'systems' AND preset = 'fashion-v1';
INSERT INTO curves VALUES ('grid', 'nobody', 'loss', '', 1, 'accuracy', 0.5), ('systems', NULL, NULL, NULL, NULL, NULL, NULL),
  ('<script>alert("plan")</script>', '<img src=x onerror=alert(1)>', '<u>curve</u>', '<s>', 1, '<q>', 1),
  ('<script>alert("plan")</script>', '<img src=x onerror=alert(1)>', '<u>curve</u>', '<s>', 9e999, '<q>', 1),
  ('<script>alert("plan")</script>', '<img src=x onerror=alert(1)>', '<u>curve</u>', '<s>', 2, '<q>', 3);
