"""The look of the page: light, dark and print from one set of variables, one column to many."""

STYLE = """
:root { --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --wash: #f3f5f7;
  --kept: #0969a8; --dropped: #c2570c; --failed: #8250b5; --cut: #1b1f24; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3;
  --soft: #9da7b1; --line: #363d46; --wash: #171d25;
  --kept: #4aa8f0; --dropped: #f0883e; --failed: #c49cff; --cut: #e6edf3; } }
* { box-sizing: border-box; }
html { color-scheme: light dark; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { max-width: 46rem; margin: .5rem 0; }
a { color: var(--kept); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--kept);
  outline-offset: 2px; }
code, pre { font-family: ui-monospace, monospace; font-size: .875rem; word-break: break-all; }
pre { background: var(--wash); padding: .75rem; margin: .5rem 0; white-space: pre-wrap; }
.note, .none, figcaption, .key { color: var(--soft); }
.note { border-left: 4px solid var(--dropped); padding-left: .75rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 0;
  padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: .75rem; margin: 1rem 0; }
.facts div { background: var(--wash); padding: .5rem .75rem; }
.facts dt { color: var(--soft); font-size: .875rem; }
.facts dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; min-width: min(100%, 22rem);
  font-size: .9375rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; }
th[scope=row] { font-weight: 500; max-width: 24rem; overflow-wrap: anywhere; min-width: 8rem; }
td { font-variant-numeric: tabular-nums; }
td.n, th.n { text-align: right; }
.share { display: inline-block; min-width: 4rem; text-align: right; }
.bar { display: inline-block; width: 7rem; height: .625rem; margin-left: .5rem;
  background: var(--wash); }
.bar i { display: block; height: 100%; min-width: 0; }
.kept { background: var(--kept); } .dropped { background: var(--dropped); }
  .failed { background: var(--failed); }
.key span { white-space: nowrap; margin-right: 1rem; }
.key i { display: inline-block; width: .75rem; height: .75rem; margin-right: .375rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
  gap: 1.5rem; margin: 1rem 0; }
figure { margin: 0; break-inside: avoid; }
.title { font-weight: 600; }
figcaption { font-size: .875rem; }
.plot svg { display: block; width: 100%; max-width: 30rem; height: auto; overflow: visible; }
.plot text { font-family: system-ui, sans-serif; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .25rem 0; font-weight: 500; }
.sample { border-left: 4px solid var(--line); padding: 0 0 0 .75rem; margin: 1rem 0;
  break-inside: avoid; }
.sample p { margin: .125rem 0; }
.sample .name { font-weight: 500; }
.sample .why { font-size: .875rem; color: var(--soft); }
blockquote { margin: .25rem 0; padding: .5rem .75rem; background: var(--wash); max-width: 46rem;
  white-space: pre-wrap; max-height: 22rem; overflow: hidden; contain: paint; }
.legend { list-style: none; padding: 0; margin: .5rem 0; font-size: .875rem; columns: 2 18rem; }
.dot { display: inline-block; min-width: 1rem; text-align: center; }
.whole { max-height: none; }
.block { border-left: 4px solid var(--line); padding: .125rem .75rem; margin: .25rem 0;
  max-width: 46rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.block .why { font-size: .8125rem; color: var(--soft); }
.is-kept { border-color: var(--kept); background: var(--wash); }
.is-cut { border-color: var(--dropped); color: var(--soft); }
del { color: var(--dropped); } ins { color: var(--kept); }
@media (max-width: 40rem) { .bar { display: block; width: 4rem; margin: 0 0 .25rem auto; }
  th, td { padding-right: .5rem; } th[scope=row] { min-width: 7rem; } }
@media print { body { max-width: none; padding: 0; font-size: .75rem; } nav { display: none; }
  .scroll { overflow: visible; } h2 { break-after: avoid; } blockquote { max-height: none; }
  * { print-color-adjust: exact; } details::details-content { content-visibility: visible;
  block-size: auto; } }
"""
