"use strict";
// Draws the figures that the page carries, in the colours that the reader's system asks for.
const told = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 48rem)");
const PANEL = 220, // height of panels that stand one below another, in pixels
  GAP = 84; // and what there is between two, for an axis and its title
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Panels side by side have no room in a narrow window: there they stand one below another.
function stacked(layout) {
  const panels = Object.keys(layout).filter((name) => name.startsWith("xaxis"));
  if (!narrow.matches || panels.length < 2) return layout;
  const height = panels.length * (PANEL + GAP) - GAP;
  const shown = { ...layout, height: height + layout.margin.t + layout.margin.b };
  panels.forEach((across, place) => {
    const up = across.replace("x", "y");
    const title = layout[up].title ?? layout["yaxis" + (layout[up].matches ?? "y").slice(1)].title;
    const top = 1 - (place * (PANEL + GAP)) / height;
    shown[across] = { ...layout[across], domain: [0, 1] };
    shown[up] = { ...layout[up], domain: [Math.max(0, top - PANEL / height), top], showticklabels: true, title };
  });
  return shown;
}

function themed(layout) {
  const inked = { ...layout, font: { ...layout.font, color: colour("--ink") } };
  inked.hoverlabel = {
    bgcolor: colour("--card"),
    bordercolor: colour("--rule"),
    font: { color: colour("--ink") },
    align: "left",
  };
  if (narrow.matches) inked.margin = { ...layout.margin, l: 48, r: 8 };
  for (const name of new Set([...Object.keys(layout), "xaxis", "yaxis"])) {
    if (/^[xy]axis/.test(name)) {
      const title = { ...layout[name]?.title, font: { size: narrow.matches ? 10 : 13 } };
      inked[name] = {
        ...layout[name],
        title,
        gridcolor: colour("--grid"),
        zerolinecolor: colour("--grid"),
        linecolor: colour("--rule"),
      };
    }
  }
  return inked;
}

async function draw(name) {
  const place = document.getElementById(name);
  const figure = told.figures[name];
  const settings = { responsive: true, displayModeBar: false };
  if (
    figure.data.some((trace) => trace.type === "parcoords") &&
    !document.createElement("canvas").getContext("webgl")
  ) {
    place.textContent = "This figure needs WebGL, which this browser does not offer.";
    place.className = "empty";
    return;
  }
  await Plotly.react(place, figure.data, themed(stacked(figure.layout)), settings);
  if (!place.dataset.heard) {
    place.dataset.heard = "yes";
    place.on("plotly_click", (event) => pick(event.points[0].customdata));
  }
}

function pick(trial) {
  if (trial === undefined || trial === null) return;
  const command = "python -m sweeps reproduce " + told.sweep + ":" + trial + told.storage_flag;
  const place = document.getElementById("picked");
  const said = document.createElement("p");
  const code = document.createElement("code");
  code.textContent = command;
  said.append("Trial " + trial + ": ", code, " ");
  const card = document.getElementById("trial-" + trial);
  if (card) {
    const link = document.createElement("a");
    link.href = "#trial-" + trial;
    link.textContent = "its config";
    said.append(link, " ");
  }
  place.replaceChildren(said);
  copy(command).then((done) => said.append(done ? "(copied)" : ""));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // a file opened from the disk may not be allowed to: select and copy as a person would
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const done = await copy(button.dataset.copy);
  button.textContent = done ? "Copied" : "Press Ctrl-C";
  setTimeout(() => {
    button.textContent = "Copy";
  }, 2000);
});

const drawAll = () => Promise.all(Object.keys(told.figures).map(draw));
for (const asked of [dark, narrow]) asked.addEventListener("change", drawAll);
drawAll().then(() => {
  document.documentElement.dataset.drawn = "yes";
});
