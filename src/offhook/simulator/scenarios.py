"""The calls that the simulator places: what is said, who says it, and what the agent looks up meanwhile. Data only.

Every number is reserved for fiction: +1 NXX 555-01xx in North America, +44 20 7946 0xxx in London. Nobody answers there.
What is said here is also spoken: after a change of words, run `tools/make_speech.py` to make the recordings match.
"""

from typing import Any, Literal

import msgspec

Direction = Literal["inbound", "outbound"]
Carrier = Literal["twilio", "sip_trunking"]
Role = Literal["agent", "user"]


class Person(msgspec.Struct, frozen=True):
    """Somebody on the far end of the line."""

    first_name: str
    last_name: str
    number: str  #: E.164
    email: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


class Business(msgspec.Struct, frozen=True):
    """Somebody whose telephone the agent answers."""

    name: str
    agent_name: str
    number: str  #: E.164
    timezone: str  #: IANA
    carrier: Carrier = "twilio"
    language: str = "en"
    agent_voice: str = "en-us+f3"  #: espeak-ng's name for it


class Tool(msgspec.Struct, frozen=True):
    """What the agent did in the middle of a turn. A webhook goes to the business's own systems, with its secret."""

    name: str
    asks: dict[str, Any]
    answers: dict[str, Any]
    kind: Literal["webhook", "client", "system"] = "webhook"
    takes_s: float = 0.4


class Turn(msgspec.Struct, frozen=True):
    """What one side says before the other does."""

    role: Role
    words: str
    tool: Tool | None = None
    pause_s: float = 0.6  #: silence before the words
    is_interrupted: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """How the call was judged by one criterion."""

    result: Literal["success", "failure", "unknown"]
    rationale: str


class Finding(msgspec.Struct, frozen=True):
    """What the analysis collected from the call."""

    value: Any
    type: Literal["string", "boolean", "integer", "number"]
    rationale: str


class Scenario(msgspec.Struct, frozen=True):
    """One call from the first word to the last, and what its analysis says."""

    name: str
    business: Business
    person: Person
    direction: Direction
    turns: tuple[Turn, ...]
    title: str
    summary: str
    is_successful: bool
    termination_reason: str
    criteria: dict[str, Verdict]
    collected: dict[str, Finding]
    caller_voice: str = "en-gb"  #: espeak-ng's name for it
    is_withheld: bool = False  #: the person's number does not show
    is_in_batch: bool = False  #: outbound, as one of a list
    rating: int | None = None  #: 1 to 5, when the person gave one


class Failure(msgspec.Struct, frozen=True):
    """An outbound attempt that nobody answered."""

    name: str
    business: Business
    person: Person
    reason: Literal["busy", "no-answer", "unknown"]
    carrier: Carrier
    sip_status_code: int
    sip_reason: str


ALEX = Person("Alex", "Morgan", "+14165550100", "alex.morgan@example.com")
PRIYA = Person("Priya", "Raman", "+16475550134", "priya@example.net")
ZOE = Person("Zoé", "Bélanger-Côté", "+15145550127", "zoe.belanger-cote@example.org")
MARCUS = Person("Marcus", "O'Brien", "+16045550142", "marcus.obrien@example.com")
JORDAN = Person("Jordan", "Lee", "+14165550163", "jordan.lee@example.com")
OLENA = Person("Олена", "Шевченко", "+442079460178", "olena@example.org")
SAM = Person("Sam", "Whitfield", "+12125550119", "sam.whitfield@example.com")
NOBODY = Person("", "", "+14165550155", "")

DENTIST = Business("Maple Street Dental", "Robin", "+14165550190", "America/Toronto")
PLUMBER = Business("Northside Plumbing", "Jesse", "+16475550191", "America/Toronto", agent_voice="en-us+m3")
BISTRO = Business(
    "Bistro L'Étoile", "Camille", "+15145550192", "America/Toronto", language="fr", agent_voice="fr-fr+f2"
)
LANDLORD = Business(
    "Harbourview Property Management", "Dana", "+16045550193", "America/Vancouver", "sip_trunking",
    agent_voice="en-us+f4",
)  # fmt: skip
CLINIC = Business(
    "Клініка «Калина»", "Калина", "+442079460191", "Europe/London", "sip_trunking", language="uk", agent_voice="uk+f3"
)
FURNITURE = Business("Oak & Iron Furniture", "Casey", "+12125550194", "America/New_York", agent_voice="en-us+f5")

_HUNG_UP_BY_CALLER = "Call ended by remote party"
_HUNG_UP_BY_AGENT = "end_call tool was called."


def _agent(words: str, tool: Tool | None = None, *, pause_s: float = 0.6, is_interrupted: bool = False) -> Turn:
    return Turn("agent", words, tool, pause_s, is_interrupted)


def _person(words: str, *, pause_s: float = 0.5) -> Turn:
    return Turn("user", words, None, pause_s)


def _end_call(reason: str) -> Tool:
    return Tool("end_call", {"reason": reason}, {"status": "success", "reason": reason}, "system", 0.0)


SCENARIOS = (
    Scenario(
        name="dental-cleaning",
        business=DENTIST,
        person=ALEX,
        direction="inbound",
        turns=(
            _agent("Maple Street Dental, this is Robin. How can I help you?", pause_s=0.4),
            _person("Hi, it's Alex Morgan. I'd like to book a cleaning."),
            _agent(
                "Hello Alex. Would Tuesday morning suit you, or Thursday after four?",
                Tool(
                    "find_openings",
                    {"service": "cleaning", "patient": "Alex Morgan"},
                    {"openings": ["2026-11-24T10:00", "2026-11-26T16:30"], "provider": "Dr. Chen"},
                ),
                pause_s=1.3,
            ),
            _person("Tuesday morning is good."),
            _agent("I have ten o'clock with Doctor Chen."),
            _person("Perfect. Do I need to bring anything?"),
            _agent("Just your insurance card. I'll send you a reminder the day before."),
            _person("Great, thank you."),
            _agent(
                "You're booked for Tuesday at ten. Have a good day, Alex.",
                Tool(
                    "book_appointment",
                    {"patient": "Alex Morgan", "slot": "2026-11-24T10:00", "service": "cleaning"},
                    {"success": True, "appointment_id": "apt_20418"},
                    takes_s=0.7,
                ),
                pause_s=1.2,
            ),
        ),
        title="Cleaning booked",
        summary=(
            "Alex Morgan called to book a dental cleaning. The agent offered Tuesday morning or Thursday after four; "
            "Alex took Tuesday at 10:00 with Dr. Chen, was asked to bring the insurance card, and will get a reminder "
            "the day before."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_CALLER,
        criteria={
            "appointment_booked": Verdict("success", "A slot was agreed on and book_appointment returned an id."),
            "caller_identified": Verdict("success", "The caller gave a full name in the first turn."),
        },
        collected={
            "service": Finding("cleaning", "string", "The caller asked to book a cleaning."),
            "appointment_time": Finding("2026-11-24T10:00", "string", "Agreed on Tuesday at ten o'clock."),
            "is_new_patient": Finding(False, "boolean", "The agent greeted the caller as a known patient."),
        },
        caller_voice="en-gb+m2",
        rating=5,
    ),
    Scenario(
        name="burst-pipe",
        business=PLUMBER,
        person=PRIYA,
        direction="inbound",
        turns=(
            _agent("Northside Plumbing, day and night. What's happening?", pause_s=0.4),
            _person("A pipe burst under my sink and there's water all over the kitchen!", pause_s=0.3),
            _agent("I understand. First, please look for the main shut-off valve, it is usually", is_interrupted=True),
            _person("I already turned it off, but it's still dripping.", pause_s=0.0),
            _agent("Good. What is the address?"),
            _person("Forty-two Birch Avenue, the side door."),
            _agent(
                "A plumber can be there in forty minutes. The call-out is one hundred and twenty dollars. "
                "Shall I send him?",
                Tool(
                    "dispatch_estimate",
                    {"address": "42 Birch Avenue", "priority": "emergency"},
                    {"eta_minutes": 40, "call_out_fee": {"amount": 120, "currency": "CAD"}, "plumber": "T. Novak"},
                    takes_s=1.1,
                ),
                pause_s=1.6,
            ),
            _person("Yes, please hurry."),
            _agent(
                "He is on his way. I'm putting you through to him now.",
                Tool(
                    "transfer_to_number",
                    {"transfer_number": "+16475550188", "reason": "emergency dispatched"},
                    {
                        "status": "success",
                        "transfer_number": "+16475550188",
                        "reason": "emergency dispatched",
                        "client_message": "I'm putting you through to him now.",
                        "agent_message": "Burst pipe at 42 Birch Avenue, main valve closed.",
                        "conference_name": "transfer-42-birch",
                    },
                    "system",
                    0.2,
                ),
            ),
        ),
        title="Burst pipe, plumber sent",
        summary=(
            "Priya Raman reported a burst pipe under the kitchen sink at 42 Birch Avenue (side door). The main valve is "
            "closed but it still drips. She accepted the 120 dollar call-out; a plumber arrives in about 40 minutes and "
            "the call was transferred to him."
        ),
        is_successful=True,
        termination_reason="transfer_to_number tool was called.",
        criteria={
            "emergency_recognised": Verdict("success", "The agent treated the burst pipe as urgent at once."),
            "price_stated": Verdict("success", "The call-out fee was named before the plumber was sent."),
        },
        collected={
            "address": Finding("42 Birch Avenue, side door", "string", "The caller said it when asked."),
            "is_emergency": Finding(True, "boolean", "Water on the kitchen floor."),
            "quoted_fee": Finding(120, "number", "The agent named one hundred and twenty dollars."),
        },
        caller_voice="en-gb+f2",
    ),
    Scenario(
        name="bistro-table",
        business=BISTRO,
        person=ZOE,
        direction="inbound",
        turns=(
            _agent("Bistro L'Étoile, bonsoir. Comment puis-je vous aider ?", pause_s=0.4),
            _person("Bonsoir, je voudrais réserver une table pour quatre, samedi soir."),
            _agent("Avec plaisir. Vers quelle heure ?"),
            _person("Dix-neuf heures trente, si possible. Et il y a une allergie aux noix."),
            _agent(
                "C'est noté : quatre personnes, samedi à dix-neuf heures trente, sans noix. À quel nom ?",
                Tool(
                    "reserve_table",
                    {"guests": 4, "at": "2026-11-28T19:30", "remarks": "allergie aux noix"},
                    {"success": True, "table": "7", "reservation_id": "res_4471"},
                    takes_s=0.6,
                ),
                pause_s=1.1,
            ),
            _person("Bélanger-Côté, Zoé."),
            _agent("Merci, madame Bélanger-Côté. À samedi !", _end_call("La réservation est faite.")),
        ),
        title="Table pour quatre, samedi 19 h 30",
        summary=(
            "Zoé Bélanger-Côté a réservé une table pour quatre personnes samedi à 19 h 30. Une allergie aux noix a été "
            "notée pour la cuisine."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_AGENT,
        criteria={"reservation_made": Verdict("success", "La table a été réservée et confirmée au nom de la cliente.")},
        collected={
            "guests": Finding(4, "integer", "« une table pour quatre »"),
            "allergies": Finding("noix", "string", "La cliente a signalé une allergie aux noix."),
        },
        caller_voice="fr-fr+f4",
    ),
    Scenario(
        name="no-heating",
        business=LANDLORD,
        person=MARCUS,
        direction="inbound",
        turns=(
            _agent("Harbourview Property Management, you're speaking with Dana. How can I help?", pause_s=0.4),
            _person("Hi, this is Marcus O'Brien, unit twelve oh four. The heating has been off since last night."),
            _agent("I'm sorry to hear that. Is it cold in every room, or just one?"),
            _person("Every room. It's fourteen degrees in here."),
            _agent("Thank you. Does the thermostat show anything?"),
            _person("It's blank. I changed the batteries and nothing happened.", pause_s=1.4),
            _agent("All right. Please hold while I check whether other units are affected."),
            _person("Sure."),
            _agent(
                "Thanks for waiting. Two other units on your floor report the same, so it is the riser, "
                "not your thermostat.",
                Tool(
                    "building_status",
                    {"unit": "1204", "system": "heating"},
                    {"affected_units": ["1202", "1206"], "suspected": "riser 12-B", "open_work_orders": []},
                    takes_s=2.3,
                ),
                pause_s=96.0,
            ),
            _person("When can somebody come? I work from home."),
            _agent(
                "The technician can be there today between two and four. May he enter if you are out?",
                Tool(
                    "technician_slots",
                    {"trade": "heating", "urgency": "high"},
                    {"slots": [{"from": "14:00", "to": "16:00", "technician": "A. Kowalski"}]},
                    takes_s=0.9,
                ),
                pause_s=8.5,
            ),
            _person("I'll be in. There's a dog, so please ring first."),
            _agent(
                "Noted: ring first, dog at home. Your work order is seven, seven, three, one.",
                Tool(
                    "create_work_order",
                    {"unit": "1204", "problem": "no heating", "access": "tenant at home, dog, ring first"},
                    {"success": True, "work_order": "7731"},
                ),
                pause_s=2.2,
            ),
            _person("Seven seven three one. Thank you, Dana."),
        ),
        title="No heating in unit 1204",
        summary=(
            "Marcus O'Brien (unit 1204) has had no heating since last night; it is 14 degrees and the thermostat is blank. "
            "Two neighbouring units are affected, so the riser is suspected. A technician comes today between 14:00 and "
            "16:00. Ring first: there is a dog. Work order 7731."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_CALLER,
        criteria={
            "work_order_created": Verdict("success", "create_work_order returned number 7731 and it was read back."),
            "access_agreed": Verdict("success", "The tenant will be in and asked to be rung first."),
            "hold_under_a_minute": Verdict("failure", "The caller was on hold for about a minute and a half."),
        },
        collected={
            "unit": Finding("1204", "string", "The caller named unit twelve oh four."),
            "room_temperature": Finding(14, "number", "The caller said fourteen degrees."),
            "work_order": Finding("7731", "string", "Read out by the agent and repeated by the caller."),
        },
        caller_voice="en-gb-scotland+m4",
        rating=4,
    ),
    Scenario(
        name="appointment-reminder",
        business=DENTIST,
        person=JORDAN,
        direction="outbound",
        turns=(
            _agent("Hello, this is Robin from Maple Street Dental. Am I speaking with Jordan Lee?", pause_s=0.8),
            _person("Yes, speaking."),
            _agent("You have an appointment tomorrow at half past two. Can you still make it?"),
            _person("Oh, no, I'm travelling. Could we do next week?", pause_s=0.8),
            _agent(
                "Of course. Wednesday at nine?",
                Tool(
                    "find_openings",
                    {"service": "check-up", "patient": "Jordan Lee"},
                    {"openings": ["2026-12-02T09:00"], "provider": "Dr. Chen"},
                ),
                pause_s=1.2,
            ),
            _person("Nine works."),
            _agent(
                "Then I've moved you to Wednesday at nine. Safe travels!",
                Tool(
                    "move_appointment",
                    {"patient": "Jordan Lee", "to": "2026-12-02T09:00"},
                    {"success": True, "appointment_id": "apt_20377"},
                    takes_s=0.5,
                ),
                pause_s=1.0,
            ),
        ),
        title="Appointment moved to Wednesday",
        summary=(
            "Reminder call to Jordan Lee about tomorrow's 14:30 appointment. Jordan is travelling; the appointment was "
            "moved to Wednesday at 9:00."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_CALLER,
        criteria={"appointment_settled": Verdict("success", "A new time was agreed on and stored.")},
        collected={"outcome": Finding("rescheduled", "string", "The appointment was moved by a week.")},
        caller_voice="en-us+m7",
        is_in_batch=True,
    ),
    Scenario(
        name="price-question",
        business=PLUMBER,
        person=NOBODY,
        direction="inbound",
        turns=(
            _agent("Northside Plumbing, day and night. What's happening?", pause_s=0.4),
            _person("How much do you charge for a new water heater?"),
            _agent("That depends on the size. Is it gas or electric?"),
            _person("I just want a price."),
            _agent(
                "Most installations are between eighteen hundred and twenty-six hundred dollars. "
                "To be exact, I would need to",
                is_interrupted=True,
            ),
            _person("That's too much. Forget it.", pause_s=0.0),
        ),
        title="Price question, caller hung up",
        summary=(
            "An unknown caller asked for the price of a new water heater, did not want to answer questions about it, "
            "heard a range of 1,800 to 2,600 dollars and hung up."
        ),
        is_successful=False,
        termination_reason=_HUNG_UP_BY_CALLER,
        criteria={
            "caller_identified": Verdict("failure", "No name was given and the number was withheld."),
            "price_stated": Verdict("success", "A price range was named."),
        },
        collected={
            "product": Finding("water heater", "string", "The caller asked for the price of one."),
            "call_back_wanted": Finding(None, "boolean", "The caller hung up before it could be asked."),
        },
        caller_voice="en-us-nyc+m1",
        is_withheld=True,
    ),
    Scenario(
        name="sick-child",
        business=CLINIC,
        person=OLENA,
        direction="inbound",
        turns=(
            _agent("Клініка «Калина», добрий день. Чим можу допомогти?", pause_s=0.4),
            _person("Добрий день. Мене звати Олена Шевченко. Потрібно записати сина до лікаря."),
            _agent("Звичайно. Скільки років синові і що турбує?"),
            _person("Сім років. Третій день кашель і температура."),
            _agent(
                "Лікар може прийняти завтра о дев'ятій тридцять. Підходить?",
                Tool(
                    "find_openings",
                    {"service": "педіатр", "reason": "кашель, температура"},
                    {"openings": ["2026-11-22T09:30"], "provider": "Др. Коваль"},
                ),
                pause_s=1.4,
            ),
            _person("Так, дякую велике!"),
            _agent("Записала. До побачення, одужуйте!", _end_call("Запис зроблено.")),
        ),
        title="Запис сина до педіатра",
        summary=(
            "Олена Шевченко записала семирічного сина до лікаря: третій день кашель і температура. Прийом завтра о 9:30."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_AGENT,
        criteria={"appointment_booked": Verdict("success", "Час прийому узгоджено.")},
        collected={
            "patient_age": Finding(7, "integer", "«Сім років»"),
            "symptoms": Finding("кашель, температура", "string", "Сказано матір'ю."),
        },
        caller_voice="uk+f1",
    ),
    Scenario(
        name="delivery-window",
        business=FURNITURE,
        person=SAM,
        direction="outbound",
        turns=(
            _agent("Hi Sam, this is Casey from Oak and Iron. Your dining table is ready for delivery.", pause_s=0.8),
            _person("Great! When?"),
            _agent(
                "Friday, between eight and noon, or Monday afternoon.",
                Tool("show_slots", {"order": "OI-5520"}, {"shown": True}, "client", 0.1),
            ),
            _person("Friday. Is it ground floor only? I'm on the third."),
            _agent("Third floor is included. Is there an elevator?"),
            _person("No, just stairs."),
            _agent(
                "No problem, I'll send three people. You will get a text on the way.",
                Tool(
                    "book_delivery",
                    {"order": "OI-5520", "window": "2026-11-27T08:00/12:00", "crew": 3},
                    {"success": False, "error": "The crew calendar did not answer."},
                    takes_s=5.0,
                ),
                pause_s=5.6,
            ),
            _person("Perfect, thanks. Bye."),
        ),
        title="Delivery on Friday morning",
        summary=(
            "Sam Whitfield's dining table (order OI-5520) will be delivered on Friday between 8:00 and 12:00, third floor "
            "without an elevator, three people needed. The crew calendar did not answer: book the crew by hand."
        ),
        is_successful=True,
        termination_reason=_HUNG_UP_BY_CALLER,
        criteria={
            "window_agreed": Verdict("success", "Sam chose Friday between eight and noon."),
            "delivery_booked": Verdict("unknown", "The booking tool returned an error."),
        },
        collected={
            "floor": Finding(3, "integer", "Sam is on the third floor."),
            "has_elevator": Finding(False, "boolean", "Sam said that there are just stairs."),
        },
        caller_voice="en-gb-x-rp+m5",
    ),
)

FAILURES = (
    Failure("busy-twilio", DENTIST, JORDAN, "busy", "twilio", 486, "Busy Here"),
    Failure("no-answer-sip", LANDLORD, MARCUS, "no-answer", "sip_trunking", 480, "Temporarily Unavailable"),
    Failure("no-answer-twilio", FURNITURE, SAM, "no-answer", "twilio", 487, "Request Terminated"),
    Failure("busy-sip", CLINIC, OLENA, "busy", "sip_trunking", 486, "Busy Here"),
    Failure("trunk-down-sip", LANDLORD, MARCUS, "unknown", "sip_trunking", 503, "Service Unavailable"),
)
