"""Reading ahead: the next stretch is read and parsed while the caller works on the current one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def read_ahead(source: Generator[T, None, None], most: int = 1) -> Generator[T, None, None]:
    """The items of `source` in their order, at most `most` of them waiting; its errors come in their place.

    Closing this iterator early stops the thread and closes `source`. Pays where `source` works outside the
    interpreter's lock, as pyarrow, zlib and file reading do.
    """
    ready: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
    room, stop = threading.Semaphore(most), threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            while True:
                room.acquire()
                if stop.is_set():
                    break
                ready.put((next(source), None))
        except StopIteration:
            pass
        except BaseException as e:  # whatever it is, the caller has to see it
            error = e
        try:
            source.close()
        except BaseException as e:
            error = error or e
        ready.put((None, error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            room.release()
            yield item
            del item  # so that it can go while the next one is waited for
    finally:
        stop.set()
        room.release()
        thread.join()
