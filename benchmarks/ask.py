"""Measure how long the app waits for the warm process, and compare its rankings with the stored ones.

    python benchmarks/ask.py RESULTS RUN --collection lareqa [--queries 20]

Searches with the first queries of each language of the collection's first pool, and explains the second hit
of each. Prints the milliseconds from request to reply, the memory of the process, and the number of rankings
whose first ten documents are those that the run stored, in the same order.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from engine.results.queries import ask, run_record
from workbench.data.warm_process import Reply, WarmProcess

STORED = """SELECT document_id FROM rankings
WHERE run = ? AND collection = ? AND query_id = ? AND scoring = 'maxsim' ORDER BY rank LIMIT 10"""


class Asker:
    """Sends a request and waits for its last reply."""

    def __init__(self, **address: Any) -> None:
        self.worker, self.address = WarmProcess(), address
        self.replies: SimpleQueue[Reply] = SimpleQueue()

    def __call__(self, op: str, **parameters: Any) -> tuple[Any, float]:
        start = time.perf_counter()
        self.worker.request(op, self.replies.put, **self.address, **parameters)
        while not (reply := self.replies.get()).last:
            pass
        if reply.error:
            raise SystemExit(reply.error)
        return reply.result, 1000 * (time.perf_counter() - start)


def main() -> None:
    """Send the requests and print times, memory and agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("run")
    parser.add_argument("--collection", required=True)
    parser.add_argument("--queries", type=int, default=20, help="of each language")
    options = parser.parse_args()
    asker = Asker(results=str(options.results), run=options.run)
    pool = next(p for p in asker("collections")[0] if p["collection"] == options.collection)
    place = {"collection": pool["collection"], "pool": pool["pool"]}
    own = {code: asker("queries", language=code, **place)[0][: options.queries] for code in pool["queries"]}
    run = run_record(options.results, options.run)["id"]
    searches, explanations, equal = [], [], 0
    for code, queries in own.items():
        for query in queries:
            asked = {**place, "language": code, "text": query["text"]}
            found, waited = asker("search", k=10, **asked)
            searches.append(waited)
            explanations.append(asker("explain", document=found["hits"][1]["document"], **asked)[1])
            stored = ask(options.results, STORED, [run, pool["name"], query["id"]]).rows
            equal += [row[0] for row in stored] == [hit["document"] for hit in found["hits"]]
    memory = psutil.Process(asker.worker.pid).memory_info().rss / 1e9
    print(f"{pool['size']:,} documents, {len(searches)} queries; the first answer took {searches[0]:,.0f} ms")
    for name, times in (("search", sorted(searches[1:])), ("explain", sorted(explanations[1:]))):
        middle, last = statistics.median(times), times[int(0.95 * len(times))]
        print(f"{name}: median {middle:.0f} ms, 95 % below {last:.0f} ms, {times[-1]:.0f} at most")
    print(f"{memory:.1f} GB; {equal} of {len(searches)} rankings as stored")
    asker.worker.close()


if __name__ == "__main__":
    main()
