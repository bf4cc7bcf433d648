"""What differs between a workspace and what is wanted of it: decided without asking anybody."""

from typing import Any

import msgspec
from elevenlabs.types.agent_platform_settings_request_model import AgentPlatformSettingsRequestModel
from elevenlabs.types.agent_workspace_overrides_input import AgentWorkspaceOverridesInput
from elevenlabs.types.conv_ai_webhooks import ConvAiWebhooks
from elevenlabs.types.conversation_initiation_client_data_config_input import (
    ConversationInitiationClientDataConfigInput,
)
from elevenlabs.types.conversation_initiation_client_data_webhook import ConversationInitiationClientDataWebhook
from elevenlabs.types.prompt_agent_api_model_input import PromptAgentApiModelInput

from offhook.connect.aims import EVENTS, Wanted, aim_of
from offhook.connect.changes import change_of, contains, personalization, post_call
from offhook.connect.plan import Row, gone, plan, to_do
from offhook.connect.record import SetUp
from offhook.connect.variables import uses_of
from offhook.connect.workspace import Workspace
from offhook.credentials import hash_of
from offhook.rules import Rules, Variable
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.tools import FORMS, tool_config
from offhook.voice.elevenlabs.wants import variables_of

BASE = "https://calls.example.com"
WANTED = Wanted(org_id="0123", country="CA", base_url=BASE, agent_ids=("agent_a",))
KNOWN = msgspec.structs.replace(WANTED, has_tool_secret=True, has_webhook_secret=True)
DONE = SetUp(webhook_id="wh_ours", secret_id="sec_ours", has_retries=True, made=["wh_ours", "sec_ours"])


def a_webhook(id: str, url: str = KNOWN.webhook_url, name: str = "offhook 0123", **facts: Any) -> dict[str, Any]:
    return {"webhook_id": id, "name": name, "webhook_url": url, "is_disabled": False, **facts}


def a_workspace(**changes: Any) -> Workspace:
    """One that is as it should be, but for its tools and its agent."""
    header = {"Authorization": {"secret_id": "sec_ours"}}
    there = Workspace(
        webhooks={"wh_ours": a_webhook("wh_ours")},
        secrets={"sec_ours": "offhook_0123"},
        settings={
            eleven.WEBHOOK: {"post_call_webhook_id": "wh_ours", "events": [*EVENTS]},
            eleven.PERSONALIZATION: {"url": KNOWN.personalization_url, "request_headers": header},
        },
        agent_names={"agent_a": "Reception"},
        agents={"agent_a": {"agent_id": "agent_a", "name": "Reception"}},
    )
    return msgspec.structs.replace(there, **changes)


def rows_of(what: str, there: Workspace, wanted: Wanted = KNOWN, done: SetUp = DONE) -> list[Row]:
    return [row for row in plan(wanted, there, done) if row.what == what]


def test_in_an_empty_workspace_everything_is_made_in_the_order_in_which_it_is_needed() -> None:
    there = Workspace(agent_names={"agent_a": "Reception"}, agents={"agent_a": {"agent_id": "agent_a"}})
    deeds = [row.deed for row in to_do(plan(WANTED, there, SetUp()))]
    tools = ["make_tool"] * len(FORMS)
    begin = ["make_secret", "make_webhook", "set_post_call", "set_personalization"]
    assert [*begin, *tools, "change_agent", "import_agent"] == deeds


def test_further_events_of_the_workspace_stay() -> None:
    there = a_workspace()
    there.settings[eleven.WEBHOOK]["events"] = ["unredacted_audio", "audio"]
    aim = aim_of(KNOWN, there, DONE)
    assert aim.is_workspace_webhook
    assert ["change"] == [row.verb for row in rows_of("post-call webhook", there)]
    events = post_call(there.settings[eleven.WEBHOOK], aim)["events"]
    assert ["unredacted_audio", "audio", "transcript", "call_initiation_failure"] == events


def test_retries_that_elevenlabs_does_not_show_are_as_they_were_set_last() -> None:
    there = a_workspace()
    assert ["stays"] == [row.verb for row in rows_of("webhook", there)]
    unknown = msgspec.structs.replace(DONE, has_retries=None)
    assert ["retries on"] == [row.detail for row in rows_of("webhook", there, done=unknown)]
    shown = a_workspace(webhooks={"wh_ours": a_webhook("wh_ours", retry_enabled=False)})
    assert ["retries on"] == [row.detail for row in rows_of("webhook", shown)]
    careful = msgspec.structs.replace(KNOWN, is_hipaa=True)
    assert ["retries off"] == [row.detail for row in rows_of("webhook", there, wanted=careful)]


def test_a_webhook_made_by_hand_is_used_where_its_secret_has_proven_events() -> None:
    there = a_workspace(webhooks={"wh_hand": a_webhook("wh_hand", name="Mine", retry_enabled=True)})
    there.settings[eleven.WEBHOOK]["post_call_webhook_id"] = "wh_hand"
    proven = msgspec.structs.replace(WANTED, has_proven_secret=True)
    assert "wh_hand" == aim_of(proven, there, SetUp()).webhook_id
    assert ["stays"] == [row.verb for row in rows_of("webhook", there, wanted=proven, done=SetUp())]
    [row] = rows_of("webhook", there, wanted=WANTED, done=SetUp())
    assert "make" == row.verb
    assert "a secret that nobody here knows" in row.detail


def test_a_webhook_whose_secret_was_lost_in_a_crash_is_made_again_and_removed() -> None:
    there = a_workspace(webhooks={"wh_lost": a_webhook("wh_lost")})
    there.settings[eleven.WEBHOOK] = {}
    rows = rows_of("webhook", there, wanted=WANTED, done=SetUp())
    assert [("make_webhook", ""), ("drop_webhook", "wh_lost")] == [(row.deed, row.target) for row in rows]


def test_a_personalization_url_with_an_unknown_bearer_is_left_alone() -> None:
    for header in ({"secret_id": "sec_theirs"}, {"env_var_label": "TOKEN"}, "Bearer oht_unknown", None):
        there = a_workspace(secrets={"sec_theirs": "theirs"})
        there.settings[eleven.PERSONALIZATION]["request_headers"] = {"Authorization": header}
        assert not aim_of(WANTED, there, SetUp()).is_workspace_personalization
        assert ["leave"] == [row.verb for row in rows_of("personalization URL", there, WANTED, SetUp())]


def test_a_bearer_written_by_hand_is_as_good_as_ours() -> None:
    wanted = msgspec.structs.replace(KNOWN, bearers=frozenset({hash_of("oht_hand")}))
    there = a_workspace()
    there.settings[eleven.PERSONALIZATION]["request_headers"] = {"Authorization": "Bearer oht_hand"}
    tool = tool_config("transfer", BASE)
    tool["api_schema"]["request_headers"] = {"Authorization": "Bearer oht_hand"}
    there.tools["tool_hand"] = tool
    assert ["stays"] == [row.verb for row in rows_of("personalization URL", there, wanted)]
    assert ["as somebody made it"] == [row.detail for row in rows_of("tool transfer", there, wanted)]
    assert "make" == rows_of("tool transfer", there)[0].verb


def test_an_agent_keeps_its_tools_and_one_called_as_ours_is_not_replaced() -> None:
    there = a_workspace(tools={"tool_own": {"type": "webhook", "name": "transfer"}})
    there.agents["agent_a"]["conversation_config"] = {"agent": {"prompt": {"tool_ids": ["tool_own"]}}}
    there.agents["agent_a"]["platform_settings"] = {"overrides": {"custom_llm_extra_body": True}}
    change = change_of(there.agents["agent_a"], KNOWN, there, aim_of(KNOWN, there, DONE))
    assert ("transfer",) == change.left
    assert ["tool_own", *["(new)"] * 6] == change.patch["conversation_config"]["agent"]["prompt"]["tool_ids"]
    assert change.patch["platform_settings"]["overrides"]["custom_llm_extra_body"]
    assert ["leave", "change", "import"] == [row.verb for row in rows_of("agent Reception", there)]


def test_an_agents_own_webhook_is_replaced_only_with_a_word_and_kept_to_come_back() -> None:
    there = a_workspace()
    there.webhooks["wh_own"] = a_webhook("wh_own", url="https://own.example.com", name="Own")
    own = {"post_call_webhook_id": "wh_own", "events": ["transcript"]}
    there.agents["agent_a"]["platform_settings"] = {"workspace_overrides": {eleven.WEBHOOK: own}}
    change = change_of(there.agents["agent_a"], KNOWN, there, aim_of(KNOWN, there, DONE))
    assert "its own post-call webhook, instead of https://own.example.com" in change.words
    assert {eleven.WEBHOOK: own} == change.former.places


def test_agents_and_numbers_of_other_organisations_are_left_alone() -> None:
    elsewhere = {"agent_b": "Bolt", "+14165550100": "Bolt"}
    wanted = msgspec.structs.replace(KNOWN, elsewhere=elsewhere)
    there = a_workspace(
        agent_names={"agent_a": "Reception", "agent_b": "Sales"},
        numbers=[
            {"phone_number": "+14165550100", "assigned_agent": {"agent_id": "agent_a"}},
            {"phone_number": "sip-trunk", "assigned_agent": {"agent_id": "agent_a"}},
            {"phone_number": "(416) 555-0101", "label": "Desk", "assigned_agent": {"agent_id": "agent_a"}},
            {"phone_number": "+14165550102", "assigned_agent": None},
        ],
    )
    assert ["it belongs to Bolt"] == [row.detail for row in rows_of("agent Sales", there, wanted)]
    assert ["leave"] == [row.verb for row in rows_of("number +14165550100", there, wanted)]
    assert ["leave"] == [row.verb for row in rows_of("number sip-trunk", there, wanted)]
    assert ["Desk"] == [row.detail for row in rows_of("number +14165550101", there, wanted)]
    assert [] == rows_of("number +14165550102", there, wanted)


def test_what_was_deleted_is_named() -> None:
    done = msgspec.structs.replace(DONE, tool_ids={"transfer": "tool_gone"})
    assert ["the webhook wh_ours", "the secret sec_ours", "the tool transfer"] == gone(Workspace(), done)
    assert [] == gone(a_workspace(), DONE)


def test_what_elevenlabs_adds_to_a_tool_is_no_difference() -> None:
    config = tool_config("send-sms", BASE)
    shown = {**config, "dynamic_variables": {}, "api_schema": {**config["api_schema"], "content_type": None}}
    assert contains(shown, config)
    assert not contains({**shown, "description": "other"}, config)


def test_what_is_changed_has_the_names_that_elevenlabs_own_sdk_has() -> None:
    there = a_workspace(webhooks={}, settings={})
    aim = aim_of(KNOWN, there, SetUp())
    body = eleven.patch({}, tools=["t"], is_asked_before=True, places={eleven.WEBHOOK: post_call({}, aim)})
    platform = body["platform_settings"]
    assert {*platform} <= {*AgentPlatformSettingsRequestModel.model_fields}
    assert {*platform["overrides"]} <= {*ConversationInitiationClientDataConfigInput.model_fields}
    assert {eleven.WEBHOOK, eleven.PERSONALIZATION} <= {*AgentWorkspaceOverridesInput.model_fields}
    assert {*post_call({}, aim)} <= {*ConvAiWebhooks.model_fields}
    assert {*personalization(KNOWN, aim)} == {*ConversationInitiationClientDataWebhook.model_fields}
    assert {*body["conversation_config"]["agent"]["prompt"]} <= {*PromptAgentApiModelInput.model_fields}


# Variables


def test_variables_are_found_in_first_message_prompt_languages_and_tools() -> None:
    agent = {
        "conversation_config": {
            "agent": {
                "first_message": "Hello {{caller_name}}, {{ caller_name }}",
                "prompt": {"prompt": "{{org_name}} {not} {{", "tools": [{"name": "x", "url": "{{skipped}}"}]},
                "dynamic_variables": {"dynamic_variable_placeholders": {"y": "{{z}}"}},
            },
            "language_presets": {"de": {"overrides": {"agent": {"first_message": "Hallo {{vorname}}"}}}},
        }
    }
    tool = {
        "name": "book",
        "api_schema": {
            "url": "https://x.example/{{path}}",
            "request_headers": {"X": {"variable_name": "secret__token"}, "Y": "{{plain}}"},
            "request_body_schema": {"properties": {"id": {"type": "string", "dynamic_variable": "system__agent_id"}}},
        },
        "assignments": [{"dynamic_variable": "answer", "value_path": "a"}],
    }
    assert {
        "caller_name": ["first message"],
        "org_name": ["prompt"],
        "vorname": ["languages"],
        "path": ["tool book"],
        "secret__token": ["tool book"],
        "plain": ["tool book"],
        "system__agent_id": ["tool book"],
    } == variables_of(agent, [tool])


def test_a_variable_is_filled_by_elevenlabs_a_declaration_or_memory_and_else_by_nobody() -> None:
    used = {name: ["prompt"] for name in ("system__time", "offer", "own", "call_count", "secret__key", "org_name")}
    rules = Rules(variables=(Variable(name="offer"),), memory=True)
    own = [Variable(name="own")]
    filled = {use.name: use.filled_by for use in uses_of(used, rules, own, "Acme", is_asked=True)}
    assert {
        "system__time": "ElevenLabs",
        "offer": "declared",
        "own": "declared",
        "call_count": "memory",
        "secret__key": None,
        "org_name": None,
    } == filled
    unasked = {use.name: use.filled_by for use in uses_of(used, rules, own, "Acme", is_asked=False)}
    assert {"system__time"} == {name for name, by in unasked.items() if by}
