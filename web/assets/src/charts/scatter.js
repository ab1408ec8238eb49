// Points in shades of one colour, the strongest largest: who cannot tell the shades sees the sizes. A point leads to its
// row: on this page it is shown there, otherwise the page that holds it is opened.
export const scatter = (chart, style, still) => {
  const [ink, quiet, edge, surface] = ['--tblr-body-color', '--tblr-secondary', '--tblr-border-color', '--tblr-bg-surface'].map(style);
  const language = document.documentElement.lang;
  const whole = new Intl.NumberFormat(language);
  const short = new Intl.NumberFormat(language, { notation: 'compact', maximumSignificantDigits: 3 });
  const share = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
  const label = { color: quiet, fontSize: 12 };
  const line = { lineStyle: { color: edge } };
  const name = { nameLocation: 'middle', nameTextStyle: label };
  const most = Math.max(...chart.points.map((point) => point.y));
  const counts = chart.points.map((point) => point.x);
  const wide = Math.max(...counts) > 20 * Math.min(...counts); // few steps of one power of ten say nothing
  return {
    textStyle: { color: ink, fontFamily: style('--tblr-font-sans-serif') },
    animation: !still,
    animationDuration: 300,
    grid: { left: 28, right: 16, top: 36, bottom: 28, containLabel: true },
    legend: { top: 0, left: 0, itemWidth: 10, itemHeight: 10, textStyle: label },
    tooltip: {
      trigger: 'item', renderMode: 'richText', confine: true, backgroundColor: surface, borderColor: edge, textStyle: { color: ink, fontSize: 12 },
      formatter: ({ data, seriesName }) => `${data.name}\n${chart.x} ${whole.format(data.value[0])}, ${chart.y} ${share.format(data.value[1])}, ${seriesName}`,
    },
    xAxis: { type: wide ? 'log' : 'value', scale: true, name: chart.x, nameGap: 28, ...name, axisLabel: { ...label, formatter: (value) => short.format(value) }, splitLine: line, axisLine: line },
    yAxis: { type: 'value', max: Math.min(1, Math.ceil(most * 5) / 5), name: chart.y, nameGap: 44, ...name, axisLabel: { ...label, formatter: (value) => share.format(value) }, splitLine: line, splitNumber: 4 },
    series: chart.bands.map((words, band) => ({
      type: 'scatter',
      name: `${chart.shade} ${words}`,
      symbolSize: 7 + 2.5 * band,
      itemStyle: { color: style('--chart-1'), opacity: 0.25 + (0.65 * band) / Math.max(chart.bands.length - 1, 1) },
      data: chart.points.filter((point) => point.band === band).map((point) => ({ name: point.name, value: [point.x, point.y], href: point.href })),
    })),
  };
};

export const follow = ({ data }) => {
  const url = new URL(data.href, location);
  if (document.getElementById(decodeURIComponent(url.hash.slice(1)))) location.hash = url.hash;
  else location.assign(url);
};
