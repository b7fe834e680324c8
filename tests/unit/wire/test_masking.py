"""What a watcher gets of a message holds no secret, and is still to be understood."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol import acs, extensions
from controller.wire.masking import MASK, masked

SECRET = "s3cr3t-value"

CONFIG = {
    "Env": [f"PASSWORD={SECRET}", "EMPTY"],
    "Image": "web:1",
    "Labels": {"auth": SECRET},
}
HOST_CONFIG = {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": SECRET}}, "Memory": 64}
CREDENTIALS = acs.IAMRoleCredentials(
    credentials_id="id-1",
    role_arn="arn:role",
    access_key_id="AKID",
    secret_access_key=SECRET,
    session_token=SECRET,
)
CONTAINER = acs.Container(
    name="app",
    image="web:1",
    environment={"PASSWORD": SECRET},
    overrides=msgspec.json.encode({"environment": [{"name": "PASSWORD", "value": SECRET}]}).decode(),
    docker_config=acs.DockerConfig(
        config=msgspec.json.encode(CONFIG).decode(), host_config=msgspec.json.encode(HOST_CONFIG).decode()
    ),
    firelens_configuration=acs.FirelensConfiguration(type="fluentd", options={"key": SECRET}),
    secrets=(acs.Secret(name="PASSWORD", value_from="arn:secret"),),
)
PAYLOAD = acs.PayloadMessage(
    message_id="payload-1",
    tasks=(
        acs.Task(
            arn="arn:task",
            containers=(CONTAINER,),
            role_credentials=CREDENTIALS,
            volumes=(
                acs.Volume(
                    name="share",
                    docker_volume_configuration=acs.DockerVolumeConfiguration(
                        driver="local", driver_opts={"o": f"password={SECRET}"}
                    ),
                ),
            ),
        ),
    ),
)
ANSWER = extensions.TaskSecretsAnswer(
    request_id="1",
    containers=(
        extensions.ContainerSecrets(
            name="app",
            secrets={"PASSWORD": SECRET},
            environment_files={"FROM_FILE": SECRET},
            log_options={"token": SECRET},
            registry_username="robot",
            registry_password=SECRET,
        ),
    ),
)
REGISTRATION = {"instanceIdentityDocumentSignature": SECRET, "cluster": "default"}


def as_sent(message: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(message))


def in_capitals(members: Any) -> Any:
    """The same with other spellings of all names, which Go's JSON takes as well."""
    if isinstance(members, dict):
        return {name.upper(): in_capitals(value) for name, value in members.items()}
    return [in_capitals(each) for each in members] if isinstance(members, list) else members


@pytest.mark.parametrize("message", [PAYLOAD, ANSWER, REGISTRATION, CREDENTIALS], ids=["a", "b", "c", "d"])
def test_no_secret_is_left_in_any_spelling_of_the_names(message: Any) -> None:
    sent = as_sent(message)
    assert SECRET in msgspec.json.encode(sent).decode()
    assert SECRET not in msgspec.json.encode(masked(sent)).decode()
    assert SECRET not in msgspec.json.encode(masked(in_capitals(sent))).decode()


def test_names_and_what_is_no_secret_stay() -> None:
    (task,) = masked(as_sent(PAYLOAD))["tasks"]
    (container,) = task["containers"]
    assert container["environment"] == {"PASSWORD": MASK}
    assert container["secrets"] == [{"name": "PASSWORD", "valueFrom": "arn:secret"}]
    config = msgspec.json.decode(container["dockerConfig"]["config"])
    assert config["Env"] == [f"PASSWORD={MASK}", f"EMPTY={MASK}"]
    assert config["Image"] == "web:1"
    host_config = msgspec.json.decode(container["dockerConfig"]["hostConfig"])
    assert host_config["LogConfig"] == {"Type": "splunk", "Config": {"splunk-token": MASK}}
    assert host_config["Memory"] == 64
    assert msgspec.json.decode(container["overrides"]) == {
        "environment": [{"name": "PASSWORD", "value": MASK}]
    }
    assert task["roleCredentials"]["credentialsId"] == "id-1"


@pytest.mark.parametrize("text", ["{broken", '"text"', "[1]"])
def test_a_text_that_should_be_json_and_is_not_is_masked_as_a_whole(text: str) -> None:
    assert masked({"config": text}) == {"config": MASK}


@pytest.mark.parametrize("members", [{}, {"config": ""}, {"environment": None}, [], None, "text", {"a": [1]}])
def test_what_holds_nothing_stays_as_it_is(members: Any) -> None:
    assert masked(members) == members
