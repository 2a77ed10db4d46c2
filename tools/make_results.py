"""Write docs/results/*.md, their plots, the README's table and docs/benchmarks.md from the rows in results/ alone."""
import argparse
from pathlib import Path

from kddet.benchmarks.page import page as benchmark_page
from kddet.benchmarks.page import read_rows as read_benchmarks
from kddet.command_line.parser import Parser, main_guard
from kddet.studies import Study
from kddet.studies.results import page, plot, read_rows, readme_section

ROOT = Path(__file__).parents[1]
START, END = '<!-- results: written by tools/make_results.py -->', '<!-- end of results -->'


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='write nothing, fail if a page differs from its rows')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    studies = [(Study.read(ROOT / 'configs/studies' / f'{path.stem}.yaml'), read_rows(path))
               for path in sorted((ROOT / 'results').glob('*.jsonl'))]
    readme = (ROOT / 'README.md').read_text()
    if START not in readme or END not in readme:
        raise ValueError(f'README.md must hold the lines {START!r} and {END!r}; the table goes between them')
    before, after = readme.split(START)[0], readme.split(END)[1]
    texts = {ROOT / 'README.md': f'{before}{START}\n\n{readme_section(studies)}\n\n{END}{after}'}
    texts |= {ROOT / 'docs/results' / f'{study.name}.md': page(study, rows) for study, rows in studies}
    if measured := read_benchmarks(sorted((ROOT / 'results/benchmarks').glob('*.jsonl'))):
        said = ROOT / 'results/benchmarks/findings.md'
        texts[ROOT / 'docs/benchmarks.md'] = benchmark_page(measured, said.read_text() if said.is_file() else '')
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if args.check:
        if stale:
            raise ValueError(f'{", ".join(str(path.relative_to(ROOT)) for path in stale)} differ from the rows in '
                             'results/; run: python tools/make_results.py')
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path])
        print(f'wrote {path.relative_to(ROOT)}')
    for study, rows in studies:
        plot(study, rows, ROOT / 'docs/results' / f'{study.name}.png')


if __name__ == '__main__':
    main_guard(main)
