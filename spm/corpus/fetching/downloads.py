"""The download of one video: attempts in processes of their own, and what the last one gave."""

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from spm.base.errors import UserError
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import attempt
from spm.corpus.fetching.session import Session
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.store import MediaRecord
from spm.corpus.fetching.task import RESULT, TASK, Result
from spm.corpus.media import forks
from spm.corpus.media.limits import Bounds
from spm.corpus.windows import Window

MEMORY_MB = 3000  # of an attempt
LOCKED_S = 1.0  # between two looks at a video that another process downloads
BUSY = "another process downloads this video"


def download(
    record: MediaRecord, session: Session, parts: Sequence[Window] = ()
) -> Sequence[MediaRecord]:
    """Download a video, with repeated attempts, into the store.

    It ends with a final outcome, after `fetch.retries` attempts, when the site refuses automatic
    access, or at the end of the run.

    Parameters
    ----------
    record : MediaRecord
        As `Session.new_record` gives it.
    session : Session
        The settings and the shared state.
    parts : sequence of Window
        Parts of the video that suffice; none: all of it.

    Returns
    -------
    sequence of MediaRecord
        One of the whole video, one per part, or one of the failure after those of the parts that
        are there.
    """
    session.pause()
    records: Sequence[MediaRecord] = [record]
    for pause_s in _pauses_s(session.config):
        session.stop.wait(pause_s)
        if session.throttled or session.stop.is_set():
            break
        result = _when_unlocked(record, session, parts)
        records = result.records
        session.in_fragments.update(result.in_fragments)
        session.count_refusal(throttled=result.throttled)
        if all(found.status is not FetchStatus.RETRY for found in records):
            break
    return records


def _pauses_s(config: Fetch) -> Iterator[float]:
    """The wait before each attempt."""
    yield 0
    for n in range(config.retries - 1):
        yield config.backoff_s * 2**n


def _when_unlocked(record: MediaRecord, session: Session, parts: Sequence[Window]) -> Result:
    """The result of one attempt; a download by another process is waited for."""
    end_s = time.monotonic() + session.config.give_up_s
    while (result := _attempt(record, session, parts)).busy:
        if session.stop.wait(LOCKED_S) or time.monotonic() > end_s:
            return Result((replace(record, reason=BUSY),))
    return result


def _attempt(record: MediaRecord, session: Session, parts: Sequence[Window]) -> Result:
    """One attempt in a process of its own.

    Raises
    ------
    UserError
        When this machine is at fault, or somebody stopped the process.
    """
    request = TASK.dump_python(session.task(record, parts), mode="json")
    bounds = Bounds(MEMORY_MB, session.config.give_up_s, only_data=True)
    try:
        ending = forks.ask(request, attempt.HELPER, bounds, lambda: session.show(record))
    except forks.Unwanted:
        return Result((record,))
    if ending.was_stopped:
        raise UserError(
            f"{record.address}: its download was stopped from outside: run again; if it happens"
            " again, with more memory"
        )
    if ending.exit_status:
        return Result((replace(record, reason=_reason(ending)),))
    result: Result = RESULT.validate_json(ending.output)
    if result.fault:
        raise UserError(result.fault)
    return result


def _reason(ending: forks.Ending) -> str:
    """Why an attempt has ended without a result."""
    if ending.timed_out:
        return "took longer than fetch.give_up_s"
    if -ending.exit_status == signal.SIGALRM:
        return f"its pages took longer than {attempt.READ_PAGES_S} s to read"
    return f"its download ended with {signal.Signals(-ending.exit_status).name}"
