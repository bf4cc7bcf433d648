"""What ElevenLabs sends, field by field, down to the innermost: the one place for its names and meanings.

Follows https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks and the official SDK's conversation model
(`elevenlabs/types/conversation_history_*.py`, `get_conversation_response_model.py`), read 2026-10. Every field may be
missing or null: older payloads lack most of them, and drift is expected (see voice/lenient.py). Words that ElevenLabs
chooses from a list stay texts here, because the lists grow; the known ones are named.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

Text = str | None
Number = float | None
Whole = int | None
Flag = bool | None
Json = dict[str, Any] | None


def means(description: str) -> Meta:
    """The meaning of a field, and its unit where it has one."""
    return Meta(description=description)


class Payload(Struct):
    """Every struct here; a field without a value was missing, null or unreadable."""


# The envelope


class Webhook(Payload):
    """The body of a webhook."""

    type: Annotated[Text, means("What happened: a name of EVENTS; others are filed and change nothing.")] = None
    event_timestamp: Annotated[Number, means("When it was sent, unix seconds; never the call's start.")] = None
    data: Annotated[Json, means("The event; older payloads have its fields beside `type`.")] = None


# post_call_transcription


class ModelTokens(Payload):
    """Tokens of one kind."""

    tokens: Annotated[Whole, means("How many tokens.")] = None
    price: Annotated[Number, means("What they cost, US dollars.")] = None


class ModelUsage(Payload):
    """What one language model used."""

    input: Annotated[ModelTokens | None, means("Tokens read.")] = None
    input_cache_read: Annotated[ModelTokens | None, means("Tokens read from the model's cache.")] = None
    input_cache_write: Annotated[ModelTokens | None, means("Tokens written to the model's cache.")] = None
    output_total: Annotated[ModelTokens | None, means("Tokens written, thinking included.")] = None


class LlmUsage(Payload):
    """What the language models used."""

    model_usage: Annotated[dict[str, ModelUsage] | None, means("By name of the model.")] = None


class LlmCategoryUsage(Payload):
    """What the language models used, by whether the answer was spoken."""

    irreversible_generation: Annotated[LlmUsage | None, means("For answers that were spoken or acted upon.")] = None
    initiated_generation: Annotated[LlmUsage | None, means("For all answers, those cut short included.")] = None


class PlatformCategoryUsage(Payload):
    """What one category of the platform cost."""

    credits: Annotated[Whole, means("Credits.")] = None
    price: Annotated[Number, means("US dollars.")] = None
    quantity: Annotated[Number, means("How much was used, in the category's own unit.")] = None


class PlatformUsage(Payload):
    """What the platform cost beside the language models."""

    category_usage: Annotated[dict[str, PlatformCategoryUsage] | None, means("By category.")] = None


class VoiceUsage(Payload):
    """How much one voice spoke."""

    voice_id: Annotated[Text, means("The voice.")] = None
    audio_output_seconds: Annotated[Number, means("How long it spoke, seconds.")] = None


class TtsUsage(Payload):
    """How much speech was made."""

    primary_tts_model: Annotated[Text, means("The speech model used most.")] = None
    total_audio_output_seconds: Annotated[Number, means("Speech made, seconds.")] = None
    total_characters: Annotated[Whole, means("Characters spoken.")] = None
    per_voice_usage: Annotated[list[VoiceUsage] | None, means("The same by voice.")] = None


class AsrUsage(Payload):
    """How much speech was understood."""

    asr_model: Annotated[Text, means("The recognition model.")] = None
    total_transcription_calls: Annotated[Whole, means("How often it was asked.")] = None
    total_audio_input_seconds: Annotated[Number, means("Speech heard, seconds.")] = None


class AnalysisCost(Payload):
    """What analysing the call cost, over all runs or in the last one."""

    price: Annotated[Number, means("US dollars.")] = None
    charge: Annotated[Whole, means("Credits.")] = None
    runs: Annotated[Whole, means("How often the analysis ran; only in the total.")] = None
    price_per_feature: Annotated[dict[str, float] | None, means("US dollars by feature.")] = None
    charge_per_feature: Annotated[dict[str, int] | None, means("Credits by feature.")] = None


class AnalysisCharging(Payload):
    """What analysing the call cost."""

    total: Annotated[AnalysisCost | None, means("All runs together.")] = None
    last_run: Annotated[AnalysisCost | None, means("The latest run.")] = None


class Charging(Payload):
    """How `cost` and `cost_fiat` came about."""

    dev_discount: Annotated[Flag, means("Whether the call was charged at the developer's discount.")] = None
    is_burst: Annotated[Flag, means("Whether it ran above the concurrency limit, which costs double.")] = None
    tier: Annotated[Text, means("The workspace's subscription tier.")] = None
    llm_usage: Annotated[LlmCategoryUsage | None, means("Tokens of the language models.")] = None
    llm_price: Annotated[Number, means("The language models, US dollars.")] = None
    llm_charge: Annotated[Whole, means("The language models, credits.")] = None
    call_charge: Annotated[Whole, means("The minutes of the call, credits.")] = None
    platform_charge: Annotated[Whole, means("The platform, credits.")] = None
    platform_price: Annotated[Number, means("The platform, US dollars.")] = None
    platform_usage: Annotated[PlatformUsage | None, means("The platform, by category.")] = None
    free_minutes_consumed: Annotated[Number, means("Minutes taken from the plan's free ones.")] = None
    free_llm_dollars_consumed: Annotated[Number, means("US dollars taken from the plan's free ones.")] = None
    tts_usage: Annotated[TtsUsage | None, means("Speech made.")] = None
    asr_usage: Annotated[AsrUsage | None, means("Speech understood.")] = None
    analysis: Annotated[AnalysisCharging | None, means("The analysis after the call.")] = None
    voice_surcharge_charge: Annotated[Whole, means("Surcharge of the voice's owner, credits.")] = None


class DeletionSettings(Payload):
    """When ElevenLabs deletes, or deleted, what it keeps of the call."""

    deletion_time_unix_secs: Annotated[Whole, means("When it will be deleted, unix seconds.")] = None
    deleted_logs_at_time_unix_secs: Annotated[Whole, means("When the logs were, unix seconds.")] = None
    deleted_audio_at_time_unix_secs: Annotated[Whole, means("When the audio was, unix seconds.")] = None
    deleted_transcript_at_time_unix_secs: Annotated[Whole, means("When the transcript was, unix seconds.")] = None
    delete_transcript_and_pii: Annotated[Flag, means("Whether transcript and personal data will be deleted.")] = None
    delete_audio: Annotated[Flag, means("Whether the audio will be deleted.")] = None


class Feedback(Payload):
    """What the person thought of the conversation."""

    type: Annotated[Text, means("thumbs or rating.")] = None
    overall_score: Annotated[Text, means("like or dislike.")] = None
    likes: Annotated[Whole, means("Turns that were liked.")] = None
    dislikes: Annotated[Whole, means("Turns that were disliked.")] = None
    rating: Annotated[Whole, means("Stars, 1 to 5.")] = None
    comment: Annotated[Text, means("The person's own words.")] = None


class PhoneCall(Payload):
    """The telephone call that carried the conversation."""

    type: Annotated[Text, means("Who carried it: twilio, sip_trunking or exotel.")] = None
    direction: Annotated[Text, means("inbound or outbound, seen from the agent.")] = None
    phone_number_id: Annotated[Text, means("ElevenLabs' id of the agent's number.")] = None
    agent_number: Annotated[Text, means("The agent's number: ours.")] = None
    external_number: Annotated[Text, means("The person's number.")] = None
    call_sid: Annotated[Text, means("The carrier's id of the call; the personalization request names it too.")] = None
    stream_sid: Annotated[Text, means("The carrier's id of the audio stream (twilio, exotel).")] = None
    call_id: Annotated[Text, means("The SIP Call-ID (sip_trunking).")] = None
    call_result: Annotated[Text, means("answered, voicemail, busy, no_answer or failed (outbound).")] = None
    sip_header_dynamic_variables: Annotated[Json, means("Variables that came in SIP headers (sip_trunking).")] = None


class Campaign(Payload):
    """The campaign a batch call belongs to."""

    campaign_id: Annotated[Text, means("The campaign.")] = None
    campaign_lead_id: Annotated[Text, means("The person within it.")] = None
    cold_attempt: Annotated[Whole, means("Which attempt at this person it is.")] = None
    conversation_type: Annotated[Text, means("initial, retry, callback or redirect.")] = None


class BatchCall(Payload):
    """The batch that placed the call."""

    batch_call_id: Annotated[Text, means("The batch.")] = None
    batch_call_recipient_id: Annotated[Text, means("The recipient within it.")] = None
    campaign: Annotated[Campaign | None, means("The campaign behind the batch.")] = None


class CallError(Payload):
    """Why the conversation failed."""

    code: Annotated[Whole, means("WebSocket or HTTP code.")] = None
    reason: Annotated[Text, means("The same in words.")] = None


class RagUsage(Payload):
    """How often the knowledge base was asked."""

    usage_count: Annotated[Whole, means("How often.")] = None
    embedding_model: Annotated[Text, means("The embedding model.")] = None


class FeatureUsage(Payload):
    """One feature of the agent."""

    enabled: Annotated[Flag, means("Whether the agent has it.")] = None
    used: Annotated[Flag, means("Whether this conversation used it.")] = None


class WorkflowUsage(Payload):
    """The agent's workflow."""

    enabled: Annotated[Flag, means("Whether the agent has one.")] = None
    tool_node: Annotated[FeatureUsage | None, means("Nodes that call a tool.")] = None
    standalone_agent_node: Annotated[FeatureUsage | None, means("Nodes that hand over to another agent.")] = None
    phone_number_node: Annotated[FeatureUsage | None, means("Nodes that transfer to a number.")] = None
    end_node: Annotated[FeatureUsage | None, means("Nodes that end the call.")] = None
    override_agent_node: Annotated[FeatureUsage | None, means("Nodes that change the agent's settings.")] = None


class TestingUsage(Payload):
    """The tests of the agent."""

    enabled: Annotated[Flag, means("Whether the agent has tests.")] = None
    tests_ran_after_last_modification: Annotated[Flag, means("Whether they ran since it was changed last.")] = None
    tests_ran_in_last_7_days: Annotated[Flag, means("Whether they ran in the last seven days.")] = None


class FeaturesUsage(Payload):
    """Which features the agent has and this conversation used."""

    language_detection: Annotated[FeatureUsage | None, means("Switching to the person's language.")] = None
    transfer_to_agent: Annotated[FeatureUsage | None, means("Handing over to another agent.")] = None
    transfer_to_number: Annotated[FeatureUsage | None, means("Transferring to a telephone number.")] = None
    multivoice: Annotated[FeatureUsage | None, means("Several voices.")] = None
    dtmf_tones: Annotated[FeatureUsage | None, means("Playing keypad tones.")] = None
    dtmf_input: Annotated[FeatureUsage | None, means("Hearing keypad tones.")] = None
    voicemail_detection: Annotated[FeatureUsage | None, means("Noticing a machine.")] = None
    external_mcp_servers: Annotated[FeatureUsage | None, means("Tools of MCP servers.")] = None
    tool_dynamic_variable_updates: Annotated[FeatureUsage | None, means("Tools that change variables.")] = None
    file_input: Annotated[FeatureUsage | None, means("Files that the person sends.")] = None
    versioning: Annotated[FeatureUsage | None, means("Versions of the agent.")] = None
    freeform_procedure: Annotated[FeatureUsage | None, means("Procedures in free form.")] = None
    structured_procedure: Annotated[FeatureUsage | None, means("Procedures in steps.")] = None
    workflow: Annotated[WorkflowUsage | None, means("The agent's workflow.")] = None
    agent_testing: Annotated[TestingUsage | None, means("The agent's tests.")] = None
    is_livekit: Annotated[Flag, means("Whether audio went over LiveKit.")] = None
    pii_zrm_workspace: Annotated[Flag, means("Whether the workspace keeps nothing.")] = None
    pii_zrm_agent: Annotated[Flag, means("The same for the agent.")] = None


class AssistantUsage(Payload):
    """ElevenLabs' own assistant."""

    is_eleven_assistant: Annotated[Flag, means("Whether the agent is it.")] = None


class AsyncDelivery(Payload):
    """The conversation's way into another system's inbox (Zendesk, Intercom, ...)."""

    delivery_status: Annotated[Text, means("pending, success or failed.")] = None
    delivery_timestamp: Annotated[Whole, means("When, unix seconds.")] = None
    delivery_error: Annotated[Text, means("Why it failed.")] = None
    external_system: Annotated[Text, means("The other system.")] = None
    external_id: Annotated[Text, means("Its id of the conversation.")] = None
    external_link: Annotated[Text, means("Its address of the conversation.")] = None
    retry_count: Annotated[Whole, means("Attempts after the first.")] = None
    last_retry_timestamp: Annotated[Whole, means("When the last one was, unix seconds.")] = None
    last_processed_external_message_id: Annotated[Text, means("The last message that was read from there.")] = None
    integration_trigger_id: Annotated[Text, means("What set it off.")] = None
    platform_metadata: Annotated[Json, means("The other system's own facts (thread, ticket).")] = None


class WhatsAppPermission(Payload):
    """Whether the person lets us ring."""

    state: Annotated[Text, means("blocked, sent, accepted or declined.")] = None
    requested_at_unix: Annotated[Whole, means("When it was asked, unix seconds.")] = None
    responded_at_unix: Annotated[Whole, means("When it was answered, unix seconds.")] = None
    permanent: Annotated[Flag, means("Whether the answer holds for good.")] = None
    granted_by_user_call: Annotated[Flag, means("Whether it follows from the person's own call.")] = None


class WhatsAppRecipient(Payload):
    """Who is written to."""

    phone: Annotated[Text, means("Number, digits with the country's code.")] = None
    bsuid: Annotated[Text, means("WhatsApp's id of the person for this business.")] = None


class WhatsAppOpening(Payload):
    """The template that opened the conversation."""

    template_name: Annotated[Text, means("The template.")] = None
    wamid: Annotated[Text, means("WhatsApp's id of the message.")] = None
    sent_at_unix: Annotated[Whole, means("Unix seconds.")] = None
    delivered_at_unix: Annotated[Whole, means("Unix seconds.")] = None
    read_at_unix: Annotated[Whole, means("Unix seconds.")] = None
    replied_at_unix: Annotated[Whole, means("Unix seconds.")] = None
    failed_at_unix: Annotated[Whole, means("Unix seconds.")] = None
    error_code: Annotated[Text, means("Why it failed.")] = None
    pricing_category: Annotated[Text, means("WhatsApp's price category.")] = None
    billable: Annotated[Flag, means("Whether WhatsApp charges for it.")] = None


class WhatsApp(Payload):
    """A conversation over WhatsApp."""

    direction: Annotated[Text, means("inbound, outbound or unknown.")] = None
    whatsapp_phone_number_id: Annotated[Text, means("WhatsApp's id of our number.")] = None
    whatsapp_user_id: Annotated[Text, means("The person: their number, digits with the country's code.")] = None
    awaiting_first_user_message: Annotated[Flag, means("Whether the person has not written yet.")] = None
    recipient: Annotated[WhatsAppRecipient | None, means("Who is written to (outbound).")] = None
    call_permission_request: Annotated[WhatsAppPermission | None, means("Whether the person lets us ring.")] = None
    call_result: Annotated[Text, means("answered, voicemail, busy, no_answer or failed (calls).")] = None
    opening_message: Annotated[WhatsAppOpening | None, means("The template that opened the conversation.")] = None


class Sms(Payload):
    """A conversation over text messages."""

    direction: Annotated[Text, means("inbound or outbound.")] = None
    phone_number_id: Annotated[Text, means("ElevenLabs' id of our number.")] = None
    sms_user_phone_number: Annotated[Text, means("The person's number.")] = None
    agent_phone_number: Annotated[Text, means("The agent's number: ours.")] = None


class VoiceReward(Payload):
    """What the owner of a shared voice earns."""

    voice_id: Annotated[Text, means("The voice.")] = None
    reward_usd_cents: Annotated[Number, means("US cents.")] = None


class Metadata(Payload):
    """The call around the conversation."""

    start_time_unix_secs: Annotated[Number, means("When the conversation began, unix seconds.")] = None
    accepted_time_unix_secs: Annotated[Number, means("When the call was answered, unix seconds.")] = None
    call_duration_secs: Annotated[Number, means("How long it lasted, seconds.")] = None
    queue_wait_secs: Annotated[Number, means("Wait for a free agent, seconds; not in the duration.")] = None
    cost: Annotated[Number, means("Credits.")] = None
    cost_fiat: Annotated[Number, means("US dollars: the language models' price and the platform's together.")] = None
    charging: Annotated[Charging | None, means("How the two costs came about.")] = None
    deletion_settings: Annotated[DeletionSettings | None, means("When ElevenLabs deletes its copy.")] = None
    feedback: Annotated[Feedback | None, means("What the person thought of it.")] = None
    authorization_method: Annotated[Text, means("How it was allowed: public, signed_url, sms, ...")] = None
    phone_call: Annotated[PhoneCall | None, means("The telephone call; null on other channels.")] = None
    caller_id: Annotated[Text, means("Who rang, in older payloads.")] = None
    called_id: Annotated[Text, means("Who was rung, in older payloads.")] = None
    batch_call: Annotated[BatchCall | None, means("The batch that placed the call.")] = None
    termination_reason: Annotated[Text, means("Why it ended, in a sentence.")] = None
    error: Annotated[CallError | None, means("Why it failed.")] = None
    warnings: Annotated[list[str] | None, means("What went less well than it should, in sentences.")] = None
    main_language: Annotated[Text, means("The language spoken most, ISO 639-1.")] = None
    rag_usage: Annotated[RagUsage | None, means("How often the knowledge base was asked.")] = None
    text_only: Annotated[Flag, means("Whether nothing was spoken.")] = None
    features_usage: Annotated[FeaturesUsage | None, means("Features it has and used.")] = None
    eleven_assistant: Annotated[AssistantUsage | None, means("ElevenLabs' own assistant.")] = None
    initiator_id: Annotated[Text, means("Who in the workspace started it.")] = None
    conversation_initiation_source: Annotated[Text, means("What started it: twilio, widget, whatsapp, ...")] = None
    conversation_initiation_source_version: Annotated[Text, means("The version of that.")] = None
    timezone: Annotated[Text, means("The person's time zone, IANA.")] = None
    async_metadata: Annotated[AsyncDelivery | None, means("The conversation's way into another system's inbox.")] = None
    whatsapp: Annotated[WhatsApp | None, means("The conversation over WhatsApp.")] = None
    sms: Annotated[Sms | None, means("The conversation over text messages.")] = None
    agent_created_from: Annotated[Text, means("How the agent was made: ui, api, cli, template, ...")] = None
    agent_last_updated_from: Annotated[Text, means("How it was changed last.")] = None
    voice_rewards: Annotated[list[VoiceReward] | None, means("What owners of shared voices earn.")] = None


class WebhookToolDetails(Payload):
    """The request that an API integration's tool sent."""

    type: Annotated[Text, means("webhook.")] = None
    method: Annotated[Text, means("HTTP method.")] = None
    url: Annotated[Text, means("Address; secrets in it are replaced.")] = None
    headers: Annotated[Json, means("Headers; their values are replaced, because they carry secrets.")] = None
    path_params: Annotated[Json, means("What was filled into the path.")] = None
    query_params: Annotated[Json, means("What was put into the query.")] = None
    body: Annotated[Text, means("The body that was sent, JSON as text.")] = None


class ToolDetails(Payload):
    """Where a tool call went; which fields there are depends on the type."""

    type: Annotated[Text, means("webhook, client, mcp or api_integration_webhook.")] = None
    method: Annotated[Text, means("HTTP method (webhook).")] = None
    url: Annotated[Text, means("Address (webhook); secrets in it are replaced.")] = None
    headers: Annotated[Json, means("Headers (webhook); their values are replaced, because they carry secrets.")] = None
    path_params: Annotated[Json, means("What was filled into the path (webhook).")] = None
    query_params: Annotated[Json, means("What was put into the query (webhook).")] = None
    body: Annotated[Text, means("The body that was sent, JSON as text (webhook).")] = None
    parameters: Annotated[Any, means("What the tool was given: JSON as text (client) or an object (mcp).")] = None
    mcp_server_id: Annotated[Text, means("The MCP server.")] = None
    mcp_server_name: Annotated[Text, means("Its name.")] = None
    integration_type: Annotated[Text, means("What kind of MCP server it is.")] = None
    approval_policy: Annotated[Text, means("Whether a person must agree before (mcp).")] = None
    requires_approval: Annotated[Flag, means("Whether this call needed that (mcp).")] = None
    mcp_tool_name: Annotated[Text, means("The tool's name at the MCP server.")] = None
    mcp_tool_description: Annotated[Text, means("What it says it does.")] = None
    integration_id: Annotated[Text, means("The API integration.")] = None
    credential_id: Annotated[Text, means("The stored credential it used.")] = None
    integration_connection_id: Annotated[Text, means("The connection it used.")] = None
    webhook_details: Annotated[WebhookToolDetails | None, means("The request (api_integration_webhook).")] = None


class ToolCall(Payload):
    """The agent asks for a tool."""

    type: Annotated[Text, means("system, webhook, client, mcp, workflow, api_integration_webhook or smb.")] = None
    request_id: Annotated[Text, means("Pairs it with its result.")] = None
    tool_name: Annotated[Text, means("The tool.")] = None
    tool_id: Annotated[Text, means("ElevenLabs' id of the tool.")] = None
    params_as_json: Annotated[Text, means("What the model wants it to do, JSON as text.")] = None
    tool_has_been_called: Annotated[Flag, means("Whether it came to that.")] = None
    tool_details: Annotated[ToolDetails | None, means("Where the call went.")] = None


class VariableUpdate(Payload):
    """A tool changed a variable of the conversation."""

    variable_name: Annotated[Text, means("The variable.")] = None
    old_value: Annotated[Text, means("What it was.")] = None
    new_value: Annotated[Text, means("What it is now.")] = None
    updated_at: Annotated[Number, means("When, unix seconds.")] = None
    tool_name: Annotated[Text, means("The tool.")] = None
    tool_request_id: Annotated[Text, means("Its call.")] = None


class ToolResult(Payload):
    """What a tool gave back."""

    type: Annotated[Text, means("client, webhook, mcp, code, system, workflow or api_integration_webhook.")] = None
    request_id: Annotated[Text, means("Pairs it with its call.")] = None
    tool_name: Annotated[Text, means("The tool.")] = None
    tool_id: Annotated[Text, means("ElevenLabs' id of the tool.")] = None
    result_value: Annotated[Text, means("The text that the model read.")] = None
    result: Annotated[Json, means("The outcome of a system tool or workflow.")] = None
    is_error: Annotated[Flag, means("Whether it failed.")] = None
    is_blocked: Annotated[Flag, means("Whether it was not allowed.")] = None
    error_type: Annotated[Text, means("How it failed.")] = None
    raw_error_message: Annotated[Text, means("The tool's own words about it.")] = None
    tool_has_been_called: Annotated[Flag, means("Whether it came to that.")] = None
    tool_latency_secs: Annotated[Number, means("How long it took, seconds.")] = None
    dynamic_variable_updates: Annotated[list[VariableUpdate] | None, means("Variables that it changed.")] = None
    integration_id: Annotated[Text, means("The API integration.")] = None
    credential_id: Annotated[Text, means("The stored credential it used.")] = None
    integration_connection_id: Annotated[Text, means("The connection it used.")] = None


class AgentMetadata(Payload):
    """Which agent spoke."""

    agent_id: Annotated[Text, means("The agent.")] = None
    branch_id: Annotated[Text, means("Its branch.")] = None
    version_id: Annotated[Text, means("Its version.")] = None
    workflow_node_id: Annotated[Text, means("The node of its workflow.")] = None


class VoicePart(Payload):
    """What one of several voices said."""

    text: Annotated[Text, means("The words.")] = None
    voice_label: Annotated[Text, means("The voice.")] = None
    time_in_call_secs: Annotated[Number, means("Seconds since the start.")] = None


class MultivoiceMessage(Payload):
    """A turn spoken by several voices."""

    parts: Annotated[list[VoicePart] | None, means("In the order they were spoken.")] = None


class TurnFeedback(Payload):
    """What the person thought of a turn."""

    score: Annotated[Text, means("like or dislike.")] = None
    time_in_call_secs: Annotated[Number, means("When, seconds since the start.")] = None


class Metric(Payload):
    """One measured step of a turn."""

    elapsed_time: Annotated[Number, means("How long it took, seconds.")] = None


class TurnMetrics(Payload):
    """How long a turn took."""

    metrics: Annotated[dict[str, Metric] | None, means("By step, such as convai_llm_service_ttfb.")] = None
    convai_asr_provider: Annotated[Text, means("Who understood the speech.")] = None
    convai_tts_model: Annotated[Text, means("Which model spoke.")] = None
    convai_tts_cascade: Annotated[Text, means("Which fallback spoke.")] = None
    voice_id: Annotated[Text, means("The voice that spoke.")] = None


class RagChunk(Payload):
    """A piece of the knowledge base."""

    document_id: Annotated[Text, means("Its document.")] = None
    chunk_id: Annotated[Text, means("The piece.")] = None
    vector_distance: Annotated[Number, means("How far from the question; 0 is nearest.")] = None


class RagRetrieval(Payload):
    """What was looked up in the knowledge base for a turn."""

    chunks: Annotated[list[RagChunk] | None, means("What was found.")] = None
    embedding_model: Annotated[Text, means("The embedding model.")] = None
    retrieval_query: Annotated[Text, means("The question.")] = None
    rag_latency_secs: Annotated[Number, means("How long it took, seconds.")] = None
    used_chunk_ids: Annotated[list[str] | None, means("What the answer used.")] = None


class FileInput(Payload):
    """A file that the person sent."""

    file_id: Annotated[Text, means("ElevenLabs' id of it.")] = None
    original_filename: Annotated[Text, means("The person's name for it.")] = None
    mime_type: Annotated[Text, means("What it says it is.")] = None
    file_url: Annotated[Text, means("Where it can be fetched for a while; secrets in it are replaced.")] = None


class Reasoning(Payload):
    """What the model thought before it spoke."""

    summary: Annotated[Text, means("In short.")] = None
    provider_redact: Annotated[Flag, means("Whether the model's maker hides it.")] = None


class Guardrail(Payload):
    """A guardrail that was touched."""

    guardrail_type: Annotated[Text, means("prompt_injection, profanity, self_harm, custom, ...")] = None
    guardrail_name: Annotated[Text, means("Its name.")] = None
    execution_mode: Annotated[Text, means("streaming or blocking.")] = None
    guardrail_details: Annotated[Json, means("Why: type, rationale, score and threshold.")] = None


class ContextualUpdate(Payload):
    """Something the application told the agent during the conversation."""

    context_id: Annotated[Text, means("The context.")] = None
    is_superseded: Annotated[Flag, means("Whether a later one replaced it.")] = None


class Turn(Payload):
    """One turn of the conversation."""

    role: Annotated[Text, means("agent or user.")] = None
    message: Annotated[Text, means("What was said; null when only tools spoke.")] = None
    original_message: Annotated[Text, means("What the agent meant to say before it was interrupted.")] = None
    multivoice_message: Annotated[MultivoiceMessage | None, means("The same by voice, when several spoke.")] = None
    time_in_call_secs: Annotated[Number, means("When the turn began, whole seconds since the start.")] = None
    created_at_unix_ms: Annotated[Whole, means("When, unix milliseconds.")] = None
    interrupted: Annotated[Flag, means("Whether the person cut in.")] = None
    ignored_as_backchannel: Annotated[Flag, means("Whether it was a mere 'mhm'.")] = None
    source_medium: Annotated[Text, means("audio, dtmf, text, image or file.")] = None
    source_event_id: Annotated[Whole, means("The event of the connection that brought it.")] = None
    tool_calls: Annotated[list[ToolCall] | None, means("Tools that the agent asked for.")] = None
    tool_results: Annotated[list[ToolResult] | None, means("What they gave back.")] = None
    file_input: Annotated[FileInput | None, means("A file that the person sent.")] = None
    file_inputs: Annotated[list[FileInput] | None, means("Several of them.")] = None
    feedback: Annotated[TurnFeedback | None, means("What the person thought of the turn.")] = None
    agent_metadata: Annotated[AgentMetadata | None, means("Which agent spoke.")] = None
    llm_override: Annotated[Text, means("The language model that was forced.")] = None
    producing_llm: Annotated[Text, means("The language model that answered.")] = None
    llm_usage: Annotated[LlmUsage | None, means("The tokens it used.")] = None
    conversation_turn_metrics: Annotated[TurnMetrics | None, means("How long the turn took.")] = None
    rag_retrieval_info: Annotated[RagRetrieval | None, means("What was looked up for it.")] = None
    used_static_kb_document_ids: Annotated[list[str] | None, means("Documents that are always in the prompt.")] = None
    reasoning: Annotated[list[Reasoning] | None, means("What the model thought before.")] = None
    reasoned: Annotated[Flag, means("Whether the model thought before.")] = None
    triggered_guardrails: Annotated[list[Guardrail] | None, means("Guardrails that it touched.")] = None
    platform_event: Annotated[Text, means("user_turn_timeout or skip_turn_wait_elapsed.")] = None
    contextual_update_info: Annotated[ContextualUpdate | None, means("What the application told it.")] = None
    user_identifier: Annotated[Text, means("Who spoke, where several may.")] = None
    id: Annotated[Text, means("ElevenLabs' id of the turn.")] = None


class CriterionResult(Payload):
    """Whether the call met one of the agent's criteria."""

    criteria_id: Annotated[Text, means("The criterion.")] = None
    result: Annotated[Text, means("success, failure or unknown.")] = None
    rationale: Annotated[Text, means("Why.")] = None
    scoring_mode: Annotated[Text, means("binary or numeric_uniform.")] = None
    score: Annotated[Whole, means("Points reached.")] = None
    max_score: Annotated[Whole, means("Points possible.")] = None


class CollectedValue(Payload):
    """One thing the agent was to find out."""

    data_collection_id: Annotated[Text, means("The thing.")] = None
    name: Annotated[Text, means("Its name.")] = None
    value: Annotated[Any, means("What was found out: text, number, boolean, or null.")] = None
    rationale: Annotated[Text, means("Where in the conversation.")] = None
    json_schema: Annotated[Json, means("What was asked for: type, description, enum.")] = None


class ScopedAnalysis(Payload):
    """The analysis for one agent of several."""

    scope: Annotated[Text, means("conversation or agent.")] = None
    source_agent_id: Annotated[Text, means("The agent.")] = None
    source_branch_id: Annotated[Text, means("Its branch.")] = None
    evaluation_criteria_results: Annotated[dict[str, CriterionResult] | None, means("Its criteria.")] = None
    data_collection_results: Annotated[dict[str, CollectedValue] | None, means("What it was to find out.")] = None
    successful: Annotated[Text, means("success, failure or unknown.")] = None
    success_score: Annotated[Number, means("How successful, 0 to 1.")] = None


class Analysis(Payload):
    """What ElevenLabs makes of the conversation once it is over; null when it was not analysed."""

    call_successful: Annotated[Text, means("success, failure or unknown.")] = None
    call_success_score: Annotated[Number, means("How successful, 0 to 1.")] = None
    transcript_summary: Annotated[Text, means("The conversation in a few sentences.")] = None
    call_summary_title: Annotated[Text, means("The same in a few words.")] = None
    evaluation_criteria_results: Annotated[dict[str, CriterionResult] | None, means("Criteria, by id.")] = None
    evaluation_criteria_results_list: Annotated[list[CriterionResult] | None, means("The same as a list.")] = None
    data_collection_results: Annotated[dict[str, CollectedValue] | None, means("Things to find out, by id.")] = None
    data_collection_results_list: Annotated[list[CollectedValue] | None, means("The same as a list.")] = None
    scoped: Annotated[list[ScopedAnalysis] | None, means("The same for each agent, where several took part.")] = None


class SourceInfo(Payload):
    """What started the conversation."""

    source: Annotated[Text, means("twilio, sip_trunk, widget, python_sdk, ...")] = None
    version: Annotated[Text, means("Its version.")] = None


class ClientData(Payload):
    """What it was started with: our answer to the personalization request, and ElevenLabs' own variables.

    Variables that begin with system__ are ElevenLabs': system__caller_id, system__called_number, system__call_sid, ...
    """

    dynamic_variables: Annotated[Json, means("Variables of prompt, first message and tools.")] = None
    conversation_config_override: Annotated[Json, means("What was changed of the agent's settings.")] = None
    custom_llm_extra_body: Annotated[Json, means("What was passed on to a custom language model.")] = None
    user_id: Annotated[Text, means("Who it is, in the words of whoever started it.")] = None
    source_info: Annotated[SourceInfo | None, means("What started it.")] = None
    branch_id: Annotated[Text, means("The agent's branch that was asked for.")] = None
    environment: Annotated[Text, means("The environment that was asked for.")] = None
    starting_workflow_node_id: Annotated[Text, means("Where in the workflow it began.")] = None
    procedure_ids: Annotated[list[str] | None, means("Procedures that may be used.")] = None
    start_procedure_ids: Annotated[list[str] | None, means("Procedures that it began with.")] = None


class VisitedAgent(Payload):
    """An agent that took part."""

    agent_id: Annotated[Text, means("The agent.")] = None
    branch_id: Annotated[Text, means("Its branch.")] = None


class Conversation(Payload):
    """`data` of post_call_transcription: the conversation as GET /v1/convai/conversations/{id} gives it."""

    agent_id: Annotated[Text, means("The agent.")] = None
    agent_name: Annotated[Text, means("Its name.")] = None
    conversation_id: Annotated[Text, means("The conversation; ties the events of a call together.")] = None
    conversation_product: Annotated[Text, means("The product it ran on.")] = None
    status: Annotated[Text, means("initiated, in-progress, processing, done or failed.")] = None
    user_id: Annotated[Text, means("Who it was, in the words of whoever started it.")] = None
    branch_id: Annotated[Text, means("The agent's branch.")] = None
    version_id: Annotated[Text, means("The agent's version.")] = None
    environment: Annotated[Text, means("The agent's environment.")] = None
    transcript: Annotated[list[Turn] | None, means("The turns, oldest first.")] = None
    metadata: Annotated[Metadata | None, means("The call around the conversation.")] = None
    analysis: Annotated[Analysis | None, means("What ElevenLabs makes of it.")] = None
    conversation_initiation_client_data: Annotated[ClientData | None, means("What it was started with.")] = None
    visited_agents: Annotated[list[VisitedAgent] | None, means("The agents that took part.")] = None
    user_message_count: Annotated[Whole, means("Turns of the person that have words.")] = None
    agent_message_count: Annotated[Whole, means("Turns of the agent that have words.")] = None
    call_duration_secs: Annotated[Number, means("Seconds; newer payloads have it in `metadata`.")] = None
    has_audio: Annotated[Flag, means("Whether there is a recording.")] = None
    has_user_audio: Annotated[Flag, means("Whether the person is on it.")] = None
    has_response_audio: Annotated[Flag, means("Whether the agent is on it.")] = None
    has_auxiliary_audio: Annotated[Flag, means("Whether there are further tracks.")] = None
    tag_ids: Annotated[list[str] | None, means("Tags of the conversation.")] = None
    otlp_traces: Annotated[Json, means("The same as OpenTelemetry traces, where that was asked for.")] = None


# post_call_audio


class FullAudio(Payload):
    """`data` of post_call_audio."""

    agent_id: Annotated[Text, means("The agent.")] = None
    conversation_id: Annotated[Text, means("The conversation.")] = None
    full_audio: Annotated[Text, means("MP3 in base64; decoded to a file as it arrives.")] = None


# call_initiation_failure


class CarrierReport(Payload):
    """What the carrier said about an attempt: Twilio's StatusCallback fields, or a SIP trunk's."""

    Called: Annotated[Text, means("Number that was rung (Twilio).")] = None
    Caller: Annotated[Text, means("Number that rang (Twilio).")] = None
    To: Annotated[Text, means("Number that was rung (Twilio).")] = None
    From: Annotated[Text, means("Number that rang (Twilio).")] = None
    Direction: Annotated[Text, means("inbound, outbound-api or outbound-dial (Twilio).")] = None
    CallStatus: Annotated[Text, means("busy, no-answer, failed or canceled (Twilio).")] = None
    CallSid: Annotated[Text, means("Twilio's id of the call.")] = None
    AccountSid: Annotated[Text, means("Twilio's id of the account.")] = None
    SipResponseCode: Annotated[Whole, means("SIP status (Twilio).")] = None
    CallDuration: Annotated[Number, means("Seconds (Twilio).")] = None
    Duration: Annotated[Number, means("Minutes charged (Twilio).")] = None
    Timestamp: Annotated[Text, means("When, RFC 2822 (Twilio).")] = None
    from_number: Annotated[Text, means("Number that rang (SIP).")] = None
    to_number: Annotated[Text, means("Number that was rung (SIP); text or number.")] = None
    direction: Annotated[Text, means("inbound or outbound (SIP), where it is said.")] = None
    sip_status_code: Annotated[Whole, means("SIP status, such as 486.")] = None
    sip_status: Annotated[Text, means("The same in words, such as Busy Here.")] = None
    error_reason: Annotated[Text, means("Why it failed (SIP).")] = None
    call_sid: Annotated[Text, means("Id of the call (SIP).")] = None
    twirp_code: Annotated[Text, means("LiveKit's word for the error (SIP).")] = None


class FailureMetadata(Payload):
    """Which carrier said what."""

    type: Annotated[Text, means("twilio or sip.")] = None
    body: Annotated[CarrierReport | None, means("The carrier's own report.")] = None


class InitiationFailure(Payload):
    """`data` of call_initiation_failure: an attempt that never became a conversation."""

    agent_id: Annotated[Text, means("The agent.")] = None
    conversation_id: Annotated[Text, means("The conversation that was meant.")] = None
    failure_reason: Annotated[Text, means("busy, no-answer or unknown.")] = None
    reason: Annotated[Text, means("The same in older payloads.")] = None
    error: Annotated[Text, means("What went wrong, in words.")] = None
    metadata: Annotated[FailureMetadata | None, means("What the carrier said.")] = None


# The personalization request


class Personalization(Payload):
    """Asked while the call is ringing: who is it, and what should the agent know?

    https://elevenlabs.io/docs/eleven-agents/customization/personalization/twilio-personalization, read 2026-10.
    """

    caller_id: Annotated[Text, means("Number that rings.")] = None
    called_number: Annotated[Text, means("Number that is rung: ours.")] = None
    called_id: Annotated[Text, means("The same under another name.")] = None
    agent_id: Annotated[Text, means("The agent that will answer.")] = None
    call_sid: Annotated[Text, means("The carrier's id of the call.")] = None
    conversation_id: Annotated[Text, means("The conversation it will be, in newer requests.")] = None
    user_id: Annotated[Text, means("The person, in the words of whoever started the conversation.")] = None


#: The `data` of each event that offhook makes something of; others are filed and change nothing.
EVENTS: dict[str, type[Payload]] = {
    "post_call_transcription": Conversation,
    "post_call_audio": FullAudio,
    "call_initiation_failure": InitiationFailure,
}
