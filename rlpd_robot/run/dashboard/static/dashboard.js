// Asks for the run's figures every two seconds and shows them. Texts go in as text, never as HTML.
"use strict";

const EVERY_MS = 2000;
const RUNS_EVERY_MS = 10000;
const PATIENCE_MS = 30000;  // a run of a day is read in some seconds the first time
const OLD_S = 20;
const LONG_NOTE = 80;  // letters; more are five lines and more in a narrow tile

const at = (id) => document.getElementById(id);
const state = { run: null, chosen: false, compare: new Set(), charts: [], answered: Date.now(), listed: 0, curves: new Map() };

function element(kind, text, name) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

async function ask(path, options) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  const value = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(value.problem || answer.statusText), { told: true });
  return value;
}

const pathOf = (run) => "/api/runs/" + encodeURIComponent(run);
const fileOf = (run, file) => "/runs/" + encodeURIComponent(run) + "/" + file;

function ago(seconds) {
  if (seconds < 90) return Math.round(seconds) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  return seconds < 172800 ? Math.round(seconds / 3600) + " h" : Math.round(seconds / 86400) + " days";
}

const percent = (value) => (value === null || value === undefined ? "" : Math.round(100 * value) + " %");
const fixed = (value, digits) => (value === null || value === undefined ? "" : value.toFixed(digits));

// --- the run that is looked at

function showTiles(tiles) {
  at("tiles").replaceChildren(...tiles.map((tile) => {
    const box = element("div", undefined, "tile" + (tile.alarm ? " alarm" : "") + (tile.note.length > LONG_NOTE ? " long" : ""));
    box.append(element("span", tile.name), element("b", tile.value), element("small", tile.note));
    return box;
  }));
}

function showProcesses(processes, now) {
  at("processes").replaceChildren(...processes.map((process) => {
    const box = element("div");
    const word = process.ended ? "ended" : process.well ? "well" : "NOT WELL";
    const since = process.started_unix_s ? ", started " + ago(now - process.started_unix_s) + " ago" : "";
    const times = process.restarts, again = times ? ", " + times + (times === 1 ? " restart" : " restarts") : "";
    box.append(element("span", process.name + " " + word, "badge " + (process.ended ? "open" : process.well ? "good" : "bad")));
    box.append(element("span", (process.ended || process.sentence) + since + again, "dim"));
    return box;
  }));
}

function showEvents(events) {
  at("events").replaceChildren(...events.map((event) => {
    const row = element("tr", undefined, event.severity);
    const when = event.unix_s ? new Date(1000 * event.unix_s).toLocaleTimeString() : "";
    const text = element("td", event.text);
    if (event.times > 1) text.append(" ", element("span", event.times + " times like this, the newest", "badge open"));
    row.append(element("td", when), element("td", event.source), text);
    return row;
  }));
}

function showPictures(run, files) {
  const view = at("view"), film = at("film");
  view.hidden = !files.view;
  film.hidden = !files.film || files.view;
  at("pictures").hidden = view.hidden && film.hidden;
  if (files.view) view.src = fileOf(run, "view") + "?" + Date.now();
  const source = fileOf(run, "film");
  if (!film.hidden && film.getAttribute("src") !== source) film.src = source;
}

function showCharts(charts) {
  while (state.charts.length < charts.length) state.charts.push(new Chart(at("charts")));
  charts.forEach((chart, i) => {
    const others = chart.key ? [...state.curves].filter(([run]) => state.compare.has(run) && run !== state.run)
      .map(([run, curves]) => ({ run, ...curves[chart.key] })) : [];
    state.charts[i].show(chart, others);
  });
}

function show(run) {
  document.title = run.run + " – rlpd-robot";
  at("phase").textContent = run.fault ? "stopped" : run.phase;
  at("phase").className = "badge " + (run.fault ? "bad" : run.phase === "finished" || run.phase === "learning" ? "good" : "open");
  at("done").value = run.share_done;
  const rate = run.rates.transitions_per_s ? ", " + run.rates.transitions_per_s.toFixed(1) + " steps/s" : "";
  at("told").textContent = run.told_s_ago === null ? "no figures yet" : "the learner told this " + ago(run.told_s_ago) + " ago" + rate;
  at("told").dataset.old = String(run.told_s_ago !== null && run.told_s_ago > OLD_S);
  at("fault").hidden = !run.fault;
  at("fault").textContent = run.fault || "";
  showTiles(run.tiles);
  showProcesses(run.processes, run.unix_s);
  showPictures(run.run, run.files);
  showCharts(run.charts);
  showEvents(run.events);
}

// --- all runs

function showRuns(runs) {
  const select = at("run");
  const names = runs.map((run) => run.run);
  if (!state.chosen || !names.includes(state.run)) {
    state.run = names.length ? names[0] : null;
    state.chosen = false;
  }
  if (names.join("/") !== [...select.options].map((option) => option.value).join("/"))
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (state.run !== null) select.value = state.run;
  at("runs").replaceChildren(...runs.map(rowOf));
}

function rowOf(run) {
  const row = element("tr", undefined, run.run === state.run ? "here" : "");
  const tick = element("input");
  tick.type = "checkbox";
  tick.checked = state.compare.has(run.run);
  tick.disabled = run.run === state.run;
  tick.setAttribute("aria-label", "compare with " + run.run);
  tick.addEventListener("change", () => compare(run.run, tick.checked));
  const first = element("td");
  first.append(tick);
  const final = run.evaluation ? percent(run.evaluation[0] / run.evaluation[1]) + " (" + run.evaluation[0] + " of " + run.evaluation[1] +
    "), " + percent(run.interval[0]) + " to " + percent(run.interval[1]) : "";
  const report = element("td");
  if (run.report) {
    const link = element("a", "open");
    link.href = fileOf(run.run, "report.html");
    link.target = "_blank";
    link.rel = "noopener";
    report.append(link);
  }
  row.append(first, element("td", run.run), element("td", run.phase || ""), element("td", fixed(run.env_steps, 0)),
    element("td", percent(run.success_recent)), element("td", fixed(run.return_recent, 1)), element("td", final),
    element("td", fixed(run.eval_return, 1)), element("td", fixed(run.utd_realised, 2)),
    element("td", run.wall_s === null ? "" : ago(run.wall_s)), report);
  return row;
}

async function compare(run, wanted) {
  if (wanted) state.compare.add(run);
  else state.compare.delete(run);
  await look();
}

async function readOthers() {
  for (const run of state.compare) {
    if (run !== state.run) state.curves.set(run, await ask(pathOf(run) + "/curves"));
  }
}

// --- the loop

async function list() {
  const answer = await ask("/api/runs");
  state.listed = Date.now();
  at("actions").hidden = !answer.actions;
  showRuns(answer.runs);
}

async function look() {
  try {
    if (state.run === null || Date.now() - state.listed > RUNS_EVERY_MS) await list();
    if (state.run === null) throw Object.assign(new Error("There is no run yet."), { told: true });
    await readOthers();
    const run = await ask(pathOf(state.run));
    if (run.run === state.run) show(run);
    state.answered = Date.now();
    at("silence").hidden = true;
  } catch (error) {
    if (error.told) state.listed = 0;
    const since = ago((Date.now() - state.answered) / 1000);
    at("silence").textContent = error.told ? error.message : "No answer from the dashboard for " + since + "; what is shown is old.";
    at("silence").hidden = false;
  }
}

async function forever() {
  if (!document.hidden) await look();
  setTimeout(forever, EVERY_MS);
}

async function word(word, version) {
  at("answer").textContent = "…";
  try {
    const headers = { Authorization: "Bearer " + at("token").value.trim(), "Content-Type": "application/json" };
    const body = JSON.stringify(version === undefined ? { word } : { word, version });
    const answer = await ask(pathOf(state.run) + "/words", { method: "POST", headers, body });
    at("answer").textContent = answer.text;
  } catch (error) {
    at("answer").textContent = error.told ? error.message : "No answer; see the robot itself.";
  }
  at("looked").checked = false;
  at("arm").disabled = true;
}

function again() {
  state.charts.forEach((chart) => chart.end());
  look();
}

at("run").addEventListener("change", () => {
  state.run = at("run").value;
  state.chosen = true;
  state.listed = 0;
  again();
});
at("looked").addEventListener("change", () => { at("arm").disabled = !at("looked").checked; });
at("arm").addEventListener("click", () => word("arm"));
at("pin").addEventListener("click", () => word("pin", at("version").value.trim()));
at("unpin").addEventListener("click", () => word("unpin"));
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
new ResizeObserver(() => state.charts.forEach((chart) => chart.fit())).observe(at("charts"));
forever();
