// <div data-island="charts" data-chart="{...}"> draws what web/charts.py describes: SVG, our colours, tooltips that
// need no inline style. The table under the chart holds the same numbers.
import { BarChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { follow, scatter } from './charts/scatter.js';

echarts.use([BarChart, LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent, SVGRenderer]);

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const still = matchMedia('(prefers-reduced-motion: reduce)');

const formatter = ({ unit, currency }) => {
  const language = document.documentElement.lang;
  const options = {
    money: { style: 'currency', currency: currency || 'XXX', maximumFractionDigits: 0 },
    share: { style: 'percent', maximumFractionDigits: 1 },
    number: { maximumFractionDigits: 2 },
  }[unit];
  const whole = new Intl.NumberFormat(language, options);
  const short = new Intl.NumberFormat(language, { ...options, notation: 'compact', maximumSignificantDigits: 3 }); // £1.5K between £1K and £2K
  return { whole: (value) => (value == null ? '–' : whole.format(value)), short: (value) => short.format(value) };
};

const series = (chart, one) => {
  const line = chart.kind === 'line';
  return {
    type: line ? 'line' : 'bar',
    name: one.name,
    data: one.values,
    stack: chart.stacked ? 'all' : undefined,
    symbol: 'circle',
    symbolSize: 6,
    showSymbol: chart.categories.length <= 14,
    lineStyle: { width: 2 },
    areaStyle: line && (chart.stacked || chart.series.length === 1) ? { opacity: 0.1 } : undefined,
    barMaxWidth: 28,
    itemStyle: line ? undefined : { borderRadius: chart.stacked ? 0 : chart.horizontal ? [0, 3, 3, 0] : [3, 3, 0, 0] },
    emphasis: { disabled: true },
  };
};

const option = (chart) => {
  if (chart.kind === 'scatter') return scatter(chart, style, still.matches);
  const [ink, quiet, edge, surface] = ['--tblr-body-color', '--tblr-secondary', '--tblr-border-color', '--tblr-bg-surface'].map(style);
  const format = formatter(chart);
  const label = { color: quiet, fontSize: 12 };
  const names = { type: 'category', data: chart.categories, inverse: chart.horizontal, axisLabel: { ...label, hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: edge } } };
  const values = { type: 'value', axisLabel: { ...label, formatter: format.short }, splitLine: { lineStyle: { color: edge } }, splitNumber: 4 };
  return {
    color: [1, 2, 3, 4, 5, 6].map((n) => style(`--chart-${n}`)),
    textStyle: { color: ink, fontFamily: style('--tblr-font-sans-serif') },
    animation: !still.matches,
    animationDuration: 300,
    grid: { left: 4, right: 12, top: chart.series.length > 1 ? 36 : 12, bottom: 4, containLabel: true },
    legend: chart.series.length > 1 ? { top: 0, left: 0, icon: 'roundRect', itemWidth: 10, itemHeight: 10, textStyle: label } : undefined,
    tooltip: {
      trigger: 'axis', renderMode: 'richText', confine: true, backgroundColor: surface, borderColor: edge,
      textStyle: { color: ink, fontSize: 12 }, axisPointer: { type: chart.kind === 'line' ? 'line' : 'shadow' }, valueFormatter: format.whole,
    },
    xAxis: chart.horizontal ? values : { ...names, boundaryGap: chart.kind !== 'line' },
    yAxis: chart.horizontal ? names : values,
    series: chart.series.map((one) => series(chart, one)),
  };
};

export function mount(element) {
  const chart = JSON.parse(element.dataset.chart);
  let drawn;
  const draw = () => {
    drawn?.dispose();
    drawn = echarts.init(element, null, { renderer: 'svg' });
    drawn.setOption(option(chart));
    if (chart.kind === 'scatter') drawn.on('click', follow);
  };
  draw();
  new ResizeObserver(() => drawn.resize()).observe(element);
  document.addEventListener('theme', draw);
}
