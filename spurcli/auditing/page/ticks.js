"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const key = `spurcli ticks ${data.key}`;
  const total = data.items.length;
  const words = { yes: "Yes", no: "No", unsure: "Unsure" };
  let state = { answers: Array(total).fill(""), order: [], place: 0, feature: data.feature };

  // Answers are kept in this browser, so that a closed window loses nothing; a browser may forbid it.
  try {
    const kept = JSON.parse(localStorage.getItem(key));
    if (kept && Array.isArray(kept.answers) && kept.answers.length === total
        && kept.answers.every((answer) => answer === "" || Object.hasOwn(words, answer))) {
      state.answers = kept.answers;
      state.order = Array.isArray(kept.order)
        ? kept.order.filter((n) => Number.isInteger(n) && n >= 0 && n < total && kept.answers[n]) : [];
      state.place = Number.isInteger(kept.place) && kept.place >= 0 && kept.place < total ? kept.place : 0;
      if (typeof kept.feature === "string") state.feature = kept.feature.slice(0, 48);
    }
  } catch (error) { /* nothing was kept, or it cannot be read */ }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify(state));
      at("kept").textContent = "Answers are kept in this browser.";
    } catch (error) {
      at("kept").textContent = "This browser keeps no answers: save before you close the page.";
    }
  }

  const noun = () => (data.samples[0].uri ? "Picture" : "Text");
  const numAnswered = () => state.answers.filter(Boolean).length;

  function say(text) { at("said").textContent = text; }

  function draw() {
    const item = data.items[state.place], sample = data.samples[item.sample], panel = at("sample");
    panel.replaceChildren();
    if (sample.uri) {
      const image = document.createElement("img");
      image.src = sample.uri;
      image.alt = `${noun()} ${state.place + 1} of ${total}`;
      image.className = sample.small ? "small" : "";
      panel.append(image);
    } else {
      for (const text of sample.texts) {
        const quote = document.createElement("blockquote");
        quote.textContent = text;
        panel.append(quote);
      }
    }
    const answer = state.answers[state.place];
    at("where").textContent = `${noun()} ${state.place + 1} of ${total}`;
    at("done").textContent = `${numAnswered()} answered`;
    at("bar").value = numAnswered();
    for (const name of Object.keys(words)) at(name).setAttribute("aria-pressed", String(answer === name));
    at("undo").disabled = !state.order.length;
    at("back").disabled = state.place === 0;
    at("next").disabled = state.place === total - 1;
    at("all").hidden = numAnswered() < total;
  }

  function go(place) {
    state.place = Math.min(Math.max(place, 0), total - 1);
    keep();
    draw();
  }

  function answer(name) {
    const here = state.place;
    state.answers[here] = name;
    state.order = state.order.filter((n) => n !== here).concat(here);
    const left = state.answers.findIndex((given, n) => !given && n > here);
    const open = left >= 0 ? left : state.answers.findIndex((given) => !given);
    go(open >= 0 ? open : here);
    say(open >= 0 ? `${words[name]}. ${noun()} ${state.place + 1} of ${total}.` : `${words[name]}. All are answered. Save ticks.csv.`);
  }

  function undo() {
    if (!state.order.length) return;
    const last = state.order.pop();
    state.answers[last] = "";
    go(last);
    say(`Taken back. ${noun()} ${last + 1} of ${total}.`);
  }

  const cell = (text) => `"${String(text).replaceAll('"', '""')}"`;

  function save() {
    const rows = [data.columns.join(",")];
    data.items.forEach((item, n) => {
      if (!state.answers[n]) return;
      const row = { ...item, answer: state.answers[n], feature: state.feature };
      rows.push(data.columns.map((name) => cell(row[name] ?? "")).join(","));
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "ticks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(`Saved ticks.csv with ${numAnswered()} answers.`);
  }

  for (const name of Object.keys(words)) at(name).addEventListener("click", () => answer(name));
  at("undo").addEventListener("click", undo);
  at("back").addEventListener("click", () => go(state.place - 1));
  at("next").addEventListener("click", () => go(state.place + 1));
  at("save").addEventListener("click", save);
  at("feature").value = state.feature;
  at("feature").addEventListener("input", () => { state.feature = at("feature").value; keep(); });
  at("clear").addEventListener("click", () => at("sure").showModal());
  at("sure").addEventListener("close", () => {
    if (at("sure").returnValue !== "clear") return;
    at("sure").returnValue = "";
    state = { answers: Array(total).fill(""), order: [], place: 0, feature: state.feature };
    go(0);
    say("All answers are cleared.");
  });
  const keys = {
    y: () => answer("yes"), n: () => answer("no"), u: () => answer("unsure"), z: undo, Backspace: undo,
    ArrowLeft: () => go(state.place - 1), ArrowRight: () => go(state.place + 1), s: save,
  };
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, dialog, dialog *") || event.altKey || event.metaKey) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((event.ctrlKey && name !== "z") || event.shiftKey || !Object.hasOwn(keys, name)) return;
    event.preventDefault();
    keys[name]();
  });
  at("sheet").hidden = false;
  keep();
  draw();
})();
