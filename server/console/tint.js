// The colours of nodes. A zone has a hue, and its nodes have shades of it; where there are no zones,
// each node has a hue. The style sheet makes a colour of them that fits a light or a dark page.

const FEW = [250, 45, 150, 320, 95, 195, 10, 285]; // hues that are told apart best, for few

const hueOf = (index, of) => (of <= FEW.length ? FEW[index] : Math.round(360 * index / of + 250) % 360);

/**
 * tints gives each node its colour, and each zone the one of its own.
 * @param {{name: string, zone?: string}[]} nodes
 */
export function tints(nodes) {
  const zones = [...new Set(nodes.map(({ zone }) => zone ?? ""))].sort();
  const of = new Map();
  if (zones.length < 2) {
    nodes.forEach(({ name }, index) => of.set(name, { hue: hueOf(index, nodes.length), shade: nodes.length > FEW.length ? [0, -0.09, 0.07][index % 3] : 0 }));
    return { of, zones: [] };
  }
  zones.forEach((zone, index) => {
    const members = nodes.filter((node) => (node.zone ?? "") === zone);
    members.forEach(({ name }, at) => {
      const place = members.length > 1 ? at / (members.length - 1) - 0.5 : 0;
      of.set(name, { hue: hueOf(index, zones.length) + 24 * place, shade: 0.22 * place });
    });
  });
  return { of, zones: zones.map((zone, index) => ({ zone, tint: { hue: hueOf(index, zones.length), shade: 0 } })) };
}

/** paint gives an element of the class "tinted" its colour. */
export function paint(made, tint) {
  const { hue, shade } = tint ?? { hue: 0, shade: 0 };
  made.style.setProperty("--hue", hue);
  made.style.setProperty("--shade", shade);
  made.classList.toggle("unknown", !tint);
}

/** swatch is a small square of a node's colour. */
export function swatch(tint) {
  const made = document.createElement("span");
  made.className = "swatch tinted";
  made.setAttribute("aria-hidden", "true");
  paint(made, tint);
  return made;
}
