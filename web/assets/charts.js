// Makes the server's drawings charts to point at: the same numbers by uPlot, kept up to date. If anything is missing the drawings stay.
(() => {
  if (!window.uPlot) return;
  const root = document.documentElement;
  // lone names the values between two gaps, which no line reaches: each is drawn as a dot.
  const lone = (u, series) => {
    const v = u.data[series];
    const none = (i) => v[i] === null || v[i] === undefined;
    const list = [...v.keys()].filter((i) => !none(i) && none(i - 1) && none(i + 1));
    return list.length ? list : null;
  };
  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
  const digits = (v) => v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1).replace(/\.0$/, "") : v.toFixed(2).replace(/\.?0+$/, "");
  const time = (s) => { // format.go has nearly the same rule
    if (s === null || s === undefined) return "–";
    if (s === 0) return "0";
    const [of, name] = units.find(([of]) => s >= of * (of === 60 || of === 3600 ? 1.7 : 1)) ?? units.at(-1);
    return digits(s / of) + " " + name;
  };
  // The time of a tick: the day as well where it is another than before.
  const clock = (t, before) => {
    const d = new Date(t * 1000), midnight = d.getHours() === 0 && d.getMinutes() === 0;
    if (midnight && (before === undefined || new Date(before * 1000).getDate() !== d.getDate())) return d.toLocaleDateString(undefined, { month: "short", day: "numeric" });
    return d.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  };
  const rate = (v) => v === null || v === undefined ? "–" : digits(v);

  const marksPlugin = (marks) => ({
    hooks: {
      draw: (u) => {
        const { ctx } = u;
        ctx.save();
        ctx.strokeStyle = color("muted");
        ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.lineWidth = devicePixelRatio;
        for (const mark of marks()) {
          const x = Math.round(u.valToPos(mark.at, "x", true));
          if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
          ctx.beginPath();
          ctx.moveTo(x, u.bbox.top);
          ctx.lineTo(x, u.bbox.top + u.bbox.height);
          ctx.stroke();
        }
        ctx.restore();
      },
    },
  });

  class Board {
    constructor(element) {
      this.element = element;
      this.plots = new Map();
      this.marks = [];
      new ResizeObserver(() => this.resize()).observe(element);
      document.addEventListener("bellhop:theme", () => this.redraw());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
      this.next();
    }
    async next() {
      try { if (!document.hidden) await this.load(); } catch { /* the server is away: what is drawn stays */ }
      const step = this.data?.step ?? 60;
      setTimeout(() => this.next(), Math.min(Math.max(step / 6, 10), 300) * 1000 * (0.9 + Math.random() * 0.2));
    }
    async load() {
      const reply = await fetch(this.element.dataset.charts, { headers: { Accept: "application/json" } });
      if (!reply.ok) return;
      this.data = await reply.json();
      this.marks = this.data.marks;
      this.draw();
    }
    redraw() {
      for (const plot of this.plots.values()) plot.destroy();
      this.plots.clear();
      if (this.data) this.draw();
    }
    draw() {
      for (const chart of this.data.charts) {
        const figure = this.element.querySelector(`[data-chart="${CSS.escape(chart.id)}"]`);
        if (!figure) continue;
        const values = [this.data.times, ...chart.lines.map((l) => l.values)];
        const plot = this.plots.get(chart.id);
        if (plot) plot.setData(values);
        else this.plots.set(chart.id, this.plot(figure, chart, values));
      }
    }
    plot(figure, chart, values) {
      const body = figure.querySelector(".chart-body");
      const text = chart.unit === "time" ? time : rate;
      body.replaceChildren();
      const axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
      return new uPlot({
        width: body.clientWidth - 20, height: 196, padding: [8, 20, 0, 0], plugins: [marksPlugin(() => this.marks)],
        cursor: { sync: { key: "bellhop" }, points: { size: 6 }, y: false }, legend: { live: true },
        scales: { y: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [{ ...axis, space: 78, size: 28, values: (u, ticks) => ticks.map((t, i) => clock(t, ticks[i - 1])) }, { ...axis, size: 62, values: (u, ticks) => ticks.map((t) => t === null ? "" : text(t)) }],
        series: [
          { value: (u, t) => t === null || t === undefined ? "" : new Date(t * 1000).toLocaleString() },
          ...chart.lines.map((l) => ({ label: l.name, stroke: color(l.class), width: 1.6, spanGaps: false, points: { show: false, filter: lone, size: 4, fill: color(l.class) }, value: (u, v) => text(v) })),
        ],
      }, values, body);
    }
    resize() {
      for (const plot of this.plots.values()) plot.setSize({ width: plot.root.parentElement.clientWidth - 20, height: 196 });
    }
  }
  for (const element of document.querySelectorAll("[data-charts]")) new Board(element);
})();
