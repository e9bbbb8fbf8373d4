"""A language model that does as it is told in Python."""

from collections.abc import Callable
from threading import Lock

from clew.readings.asking.answer import Answer, Continuation, Question, Token
from clew.readings.asking.asks import Asks
from clew.readings.asking.kept import Remembered

Say = Callable[[Question], Answer | str]


class Scripted:
    """Says what a function makes of a question; `asked` holds the questions that came."""

    def __init__(self, say: Say, log_p: Callable[[Continuation], float] | None = None, width: int = 1) -> None:
        self.say, self.log_p, self.width = say, log_p, width
        self.name, self.identity = "scripted", f"scripted {id(self)}"
        self.asked: list[Question | Continuation] = []
        self._lock = Lock()

    def chat(self, question: Question) -> Answer:
        with self._lock:
            self.asked.append(question)
        said = self.say(question)
        return said if isinstance(said, Answer) else Answer(said, None, len(question) // 4, len(said) // 4)

    def judge(self, question: Continuation) -> Answer:
        self.asked.append(question)
        return Answer(question.text, (Token(question.text, self.log_p(question)),), 1)


def scripted(say: Say, **more: object) -> Asks:
    """Asks that one."""
    return Asks(Scripted(say, **more), Remembered())
