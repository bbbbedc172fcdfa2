"""Configuration of publishing; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Config(StageConfig):
    """What the release is called and where it goes. The Hub's token comes from the environment (HF_TOKEN)."""

    name: str = Field(
        default="MiMo-Pipeline", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$",
        description="name of the model family: titles of the cards, and <name>-RL and so on in repositories' names",
    )  # fmt: skip
    license: str = Field(
        default="", pattern=r"^[a-z0-9.-]*$",
        description="licence of the weights by its name on the Hub, e.g. apache-2.0; empty: the cards state none",
    )  # fmt: skip
    destination: str = Field(
        default="", description="a folder or an fsspec URL (s3://…) to copy the release to; empty: the artifact only"
    )
    hub_namespace: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]*$",
        description="user or organisation on the Hugging Face Hub to push the checkpoints to; empty: no push",
    )  # fmt: skip
    hub_private: bool = Field(default=True, description="make the Hub repositories private when they are created")
    require_promotion: bool = Field(
        default=True, description="copy and push only if the gate promotes; the artifact is made in any case"
    )
    verify_tokens: int = execution(64, "length of the token rows on which logits are compared", ge=8)
