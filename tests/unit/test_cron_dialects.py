"""What a person may write as a custom cycle, in three dialects: what Scheduler is sent for it, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkeeper.domain.cron_dialects import LONGEST_EXPRESSION, LONGEST_WRITTEN, MACROS, read_custom
from rdbkeeper.domain.errors import InvalidRequest

UNIX = {
    "0 5 * * *": ("cron(0 5 * * ? *)",),
    "*/15 9-17 * * 1-5": ("cron(0/15 9-17 ? * MON,TUE,WED,THU,FRI *)",),
    "30 2 * * 5-7": ("cron(30 2 ? * SUN,FRI,SAT *)",),
    "30 2 * * SAT-SUN": ("cron(30 2 ? * SUN,SAT *)",),
    "0 3 * * 5L": ("cron(0 3 ? * 6L *)",),
    "0 3 * * friL": ("cron(0 3 ? * 6L *)",),
    "0 3 * * 7L": ("cron(0 3 ? * 1L *)",),
    "0 3 * * 2#2": ("cron(0 3 ? * 3#2 *)",),
    "0 3 * * TUE#5": ("cron(0 3 ? * 3#5 *)",),
    "0 3 1 * MON": ("cron(0 3 1 * ? *)", "cron(0 3 ? * MON *)"),
    "0 3 L * 5L": ("cron(0 3 L * ? *)", "cron(0 3 ? * 6L *)"),
    "0 3 l * *": ("cron(0 3 L * ? *)",),
    "0 3 15W * *": ("cron(0 3 15W * ? *)",),
    "0 3 1 jan,JUL *": ("cron(0 3 1 1,7 ? *)",),
    "0 3 * * 1-1": ("cron(0 3 ? * MON *)",),
    "0 3 * * 0": ("cron(0 3 ? * SUN *)",),
    "0 3 * * 7": ("cron(0 3 ? * SUN *)",),
    "0 3 * * 0-0": ("cron(0 3 ? * SUN *)",),
    "0 3 * * SUN-SUN": ("cron(0 3 ? * SUN *)",),
    "0 3 * * 0-7": ("cron(0 3 * * ? *)",),
    "0 3 * * */2": ("cron(0 3 ? * SUN,TUE,THU,SAT *)",),
    "0 3 * * 2/2": ("cron(0 3 ? * TUE,THU,SAT *)",),
    "0 3 1-31 * *": ("cron(0 3 * * ? *)",),
    "0 3 */2 * *": ("cron(0 3 1/2 * ? *)",),
    "5/20 0 * * *": ("cron(5/20 0 * * ? *)",),
    "0-40/20 0 * * *": ("cron(0/20 0 * * ? *)",),
    "0-30/10 0 * * *": ("cron(0,10,20,30 0 * * ? *)",),
    "0 1,2,3,7,22,23 * * *": ("cron(0 1-3,7,22,23 * * ? *)",),
    "*/60 * * * *": ("cron(0 * * * ? *)",),
    " 0  5 *\t* * ": ("cron(0 5 * * ? *)",),
    "@hourly": ("cron(0 * * * ? *)",),
    "@daily": ("cron(0 0 * * ? *)",),
    "@midnight": ("cron(0 0 * * ? *)",),
    "@weekly": ("cron(0 0 ? * SUN *)",),
    "@monthly": ("cron(0 0 1 * ? *)",),
    "@yearly": ("cron(0 0 1 1 ? *)",),
    "@Annually": ("cron(0 0 1 1 ? *)",),
}
EVENTBRIDGE = {
    "cron(0 5 * * ? *)": ("cron(0 5 * * ? *)",),
    "cron( 0  5 * * ? )": ("cron(0 5 * * ? *)",),
    "0 10 ? * 2-6 *": ("cron(0 10 ? * MON,TUE,WED,THU,FRI *)",),
    "0 10 ? * 2": ("cron(0 10 ? * MON *)",),
    "cron(0 10 ? * 1 *)": ("cron(0 10 ? * SUN *)",),
    "cron(0 10 ? * 7 *)": ("cron(0 10 ? * SAT *)",),
    "cron(0 10 ? * FRI-SUN *)": ("cron(0 10 ? * SUN,FRI,SAT *)",),
    "cron(0 10 ? * 1-7 *)": ("cron(0 10 * * ? *)",),
    "cron(0/15 9-17 ? * mon-fri *)": ("cron(0/15 9-17 ? * MON,TUE,WED,THU,FRI *)",),
    "cron(*/15 8 * * ? *)": ("cron(0/15 8 * * ? *)",),
    "cron(0 3 ? * 6L *)": ("cron(0 3 ? * 6L *)",),
    "cron(0 3 ? * FRIL *)": ("cron(0 3 ? * 6L *)",),
    "cron(0 3 ? * 3#2 *)": ("cron(0 3 ? * 3#2 *)",),
    "cron(0 3 L * ? *)": ("cron(0 3 L * ? *)",),
    "cron(0 3 28W 2 ? *)": ("cron(0 3 28W 2 ? *)",),
    "cron(0 3 1 1 ? 2027,2029-2031)": ("cron(0 3 1 1 ? 2027,2029-2031)",),
    "cron(0 3 1 1 ? 1970-2099)": ("cron(0 3 1 1 ? *)",),
    "cron(0 3 1 1 ? 2027/2)": ("cron(0 3 1 1 ? 2027/2)",),
    "rate(1 minute)": ("rate(1 minute)",),
    "rate(5 minutes)": ("rate(5 minutes)",),
    "rate( 12  hours )": ("rate(12 hours)",),
    "rate(7 days)": ("rate(7 days)",),
}
TENCENT = {
    "0 0 2 1 * * *": ("cron(0 2 1 * ? *)",),
    "0 0 12 ? * 2 *": ("cron(0 12 ? * TUE *)",),
    "0 0 12 * * WED *": ("cron(0 12 ? * WED *)",),
    "0 15 10 * * MON-FRI *": ("cron(15 10 ? * MON,TUE,WED,THU,FRI *)",),
    "0 0 3 * * 5L *": ("cron(0 3 ? * 6L *)",),
    "0 0 3 ? * 0#1 *": ("cron(0 3 ? * 1#1 *)",),
    "0 0 3 L * ? *": ("cron(0 3 L * ? *)",),
    "0 0 3 15W * * *": ("cron(0 3 15W * ? *)",),
    "0 0 10,14,16 * * * *": ("cron(0 10,14,16 * * ? *)",),
    "0 */30 9-17 * * * *": ("cron(0,30 9-17 * * ? *)",),
    "59 0 2 1 * MON 2027-2028": ("cron(0 2 1 * ? 2027,2028)", "cron(0 2 ? * MON 2027,2028)"),
}


@pytest.mark.parametrize(
    ("written", "dialect", "sent"),
    [
        *((text, "unix", sent) for text, sent in UNIX.items()),
        *((text, "eventbridge", sent) for text, sent in EVENTBRIDGE.items()),
        *((text, "tencent", sent) for text, sent in TENCENT.items()),
    ],
)
def test_what_is_written_in_a_dialect_is_sent_as_scheduler_wants_it(
    written: str, dialect: str, sent: tuple[str, ...]
) -> None:
    custom = read_custom(written)
    assert (custom.dialect, custom.timing.expressions()) == (dialect, sent)


# what is written, and words of the reason
REFUSED = {
    "": "empty",
    " ": "empty",
    "daily": "1 field,",
    "not a cron": "3 fields",
    "0 0 * *": "4 fields",
    "0 0 0 1 1 * * *": "8 fields",
    "0 30 2 * * *": "six fields without `?`",
    "0 12 * * MON *": "six fields without `?`",
    "60 0 * * *": "60 in the minute field is not within 0 to 59",
    "0 24 * * *": "24 in the hour field",
    "0 0 0 * *": "0 in the day of month field is not within 1 to 31",
    "0 0 32 * *": "32 in the day of month field",
    "0 0 * 13 *": "13 in the month field",
    "0 0 * * 8": "8 in the weekday field is not within 0 to 7",
    "cron(0 0 ? * 0 *)": "0 in the weekday field is not within 1 to 7, where 1 is Sunday",
    "cron(0 0 ? * 8 *)": "8 in the weekday field",
    "0 0 0 ? * 7 *": "7 in the weekday field is not within 0 to 6, where 0 is Sunday",
    "cron(0 0 1 1 ? 1969)": "1969 in the year field",
    "cron(0 0 1 1 ? 2100)": "2100 in the year field is not within 1970 to 2099",
    "*/0 * * * *": "step of '*/0'",
    "*/x * * * *": "step of '*/X'",
    "*/90 * * * *": "steps further than the 60 values",
    "0 */25 * * *": "steps further than the 24 values",
    "5-1 * * * *": "runs backwards",
    "0 0 * * 5-1": "runs backwards",
    "1,,2 * * * *": "'' is not a value of the minute field",
    "-1 * * * *": "'' is not a value",
    "1-2-3 * * * *": "'2-3' is not a value",
    "0 0 * * ٣": "is not a value of the weekday field",
    "0 0 MON * *": "'MON' is not a value of the day of month field",
    "0 0 */2 * MON": "both must match",
    "0 0 1 * */2": "both must match",
    "0 0 0 */2 * MON *": "both must match",
    "0 0 1-31 * MON": "'1-31' names every day",
    "0 0 1 * 0-6": "'0-6' names every day",
    "0 0 LW * *": "'LW' in the day of month field is not known",
    "0 0 0 LW * ? *": "'LW' in the day of month field is not known",
    "0 0 L-3 * *": "'L-3' in the day of month field is not known",
    "0 0 1,L * *": "'1,L' in the day of month field is not known",
    "0 0 15W,20W * *": "'15W,20W' in the day of month field is not known",
    "0 0 31W * *": "not every month has the day of '31W'",
    "0 0 29W * *": "not every month has the day of '29W'",
    "0 0 0W * *": "not every month has the day of '0W'",
    "0 0 * * L": "a weekday `L` is Saturday to some",
    "cron(0 0 ? * L *)": "a weekday `L` is Saturday to some",
    "0 0 * * 8L": "8 in the weekday field",
    "0 0 * * 1#6": "neither a weekday's last",
    "0 0 * * 1#1,2#2": "neither a weekday's last",
    "0 0 * * 1,5L": "neither a weekday's last",
    "cron(0 0 ? * 2/2 *)": "EventBridge's weekday field takes no steps",
    "cron(0 0 ? * ? *)": "exactly one of the two day fields",
    "cron(0 0 * * MON *)": "exactly one of the two day fields",
    "cron(0 3 * * *)": "exactly one of the two day fields",
    "cron(0 0 12 * * ? *)": "has six fields, this one 7",
    "cron()": "has six fields, this one 0",
    "0 0 12 * * ?": "`?` stands in the year field",
    "0 ? 12 * *": "`?` stands in the hour field",
    "0 0 1,? * MON": "`?` stands in the day of month field",
    "0 0 12 ? * ? *": "`?` stands in both day fields",
    "0 0 ? * * * *": "`?` stands in the hour field",
    "*/5 * * * * * *": "fires once a minute at most",
    "* 0 2 * * * *": "fires once a minute at most",
    "0,30 0 2 * * * *": "fires once a minute at most",
    "60 0 2 * * * *": "fires once a minute at most",
    "rate(0 minutes)": "whole number from 1",
    "rate(1.5 hours)": "whole number from 1",
    "rate(2 weeks)": "whole number from 1",
    "rate(minute)": "whole number from 1",
    "rate(05 minutes)": "whole number from 1",
    "rate(1 minutes)": "`rate(1 minute)`",
    "rate(5 minute)": "`rate(5 minutes)`",
    "rate(20000 days)": "within 50 years",
    "at(2027-01-31T02:30:00)": "one moment",
    "every(5 minutes)": "no `every(…)`",
    "@reboot": "none of @hourly",
    "@daily 3": "none of @hourly",
    "*,1 " * 4 + "*" + " " * LONGEST_WRITTEN: f"over {LONGEST_WRITTEN} characters",
}


@pytest.mark.parametrize(("written", "reason"), REFUSED.items())
def test_what_is_no_cron_or_could_mean_something_else_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_custom(written)
    assert reason in refused.value.message
    assert refused.value.field == "cycle.cron" and refused.value.hint


def test_a_single_time_is_referred_to_the_manual_cycle() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_custom("at(2027-01-31T02:30:00)")
    assert "`manual`" in refused.value.hint and "`run`" in refused.value.hint


def test_an_expression_longer_than_scheduler_takes_is_refused() -> None:
    minutes, hours, days = (",".join(str(value) for value in range(1, end) if value % 3) for end in (60, 24, 32))
    (sent,) = read_custom(f"{minutes} {hours} {days} * *").timing.expressions()
    assert len(sent) <= LONGEST_EXPRESSION
    with pytest.raises(InvalidRequest, match=f"over {LONGEST_EXPRESSION} characters"):
        read_custom(f"cron({minutes} {hours} {days} 1,2,4,5,7,8 ? 2027,2029,2030,2032,2034,2035,2037,2038)")


def test_a_long_list_that_has_a_short_form_is_sent_in_it() -> None:
    minutes = ",".join(str(minute) for minute in range(60) if minute != 30)
    assert read_custom(f"{minutes} * * * *").timing.expressions() == ("cron(0-29,31-59 * * * ? *)",)


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        ("0 3 * * *", ()),
        ("@weekly", ()),
        ("0 3 1 * MON", ("two schedules",)),
        ("0 3 31 * *", ("Not every month",)),
        ("0 3 28,31 * *", ()),
        ("0 3 29,30 * FRI", ("two schedules", "Not every month")),
        ("cron(0 3 ? * MON *)", ()),
        ("cron(0 3 ? * 2 *)", ("1 = Sunday",)),
        ("cron(0 3 ? * MON#2 *)", ()),
        ("0 0 3 * * MON *", ()),
        ("0 0 3 * * 1 *", ("0 = Sunday",)),
        ("30 0 3 * * * *", ("not at second 30",)),
        ("7 0 3 1 * 1 *", ("not at second 7", "0 = Sunday", "two schedules")),
        ("rate(5 minutes)", ("counted from midnight UTC",)),
    ],
)
def test_a_person_is_told_what_the_cron_does_not_say(written: str, notes: tuple[str, ...]) -> None:
    told = read_custom(written).notes
    assert len(told) == len(notes)
    assert all(part in note for part, note in zip(notes, told, strict=True))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("0123456789*/,-?LW# MONacrote()@", max_size=24)))
def test_any_text_is_either_a_cron_or_refused_by_its_field(text: str) -> None:
    try:
        expressions = read_custom(text).timing.expressions()
    except InvalidRequest as refused:
        expressions, field = (), refused.field
    else:
        field = ""
    assert all(expression.startswith(("cron(", "rate(")) for expression in expressions)
    assert field == ("" if expressions else "cycle.cron")


def test_every_macro_is_tried_here() -> None:
    assert set(MACROS) <= {text.lower() for text in UNIX}
