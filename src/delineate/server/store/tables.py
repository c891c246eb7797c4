"""The tables. An object's row says which of its versions holds; versions are written once and stay."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself only where it says INTEGER

settings = Table(
    "settings",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
)

classes = Table(
    "classes",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("color", String(7), nullable=False),
    Column("dataset_id", Number, nullable=False, unique=True),  # the dataset's own number of the class
    Column("thing", Boolean, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("path", Text, nullable=False),
    Column("dataset_id", Number, nullable=False),  # the dataset's own number of the image
    Column("record", Integer, nullable=False),  # where the dataset lists it, -1 where it no longer does
    Column("columns", Text, nullable=False),  # its further columns (split, modality), JSON
    Column("width", Integer, nullable=False),  # 0 until it was first looked at
    Column("height", Integer, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("fault", Text, nullable=False),  # why it cannot be opened; empty where it can
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),  # rises when the state changes
    Column("revision", Integer, nullable=False),  # rises with every edit
    Column("clock", Number, nullable=False),  # the project's clock when anything of it last changed
    Column("updated", Float, nullable=False),  # seconds since 1970
    Column("objects", Integer, nullable=False),
    Column("suggested", Integer, nullable=False),
    Column("comments", Integer, nullable=False),
    Column("top", Integer, nullable=False, server_default="-1"),  # the highest z that an object ever had
    Column("bottom", Integer, nullable=False, server_default="0"),  # the lowest
    Index("images_by_clock", "clock"),
    Index("images_by_state", "state"),
)

edits = Table(
    "edits",
    metadata,
    Column("id", Number, primary_key=True),
    Column("image_id", Number, ForeignKey("images.id"), nullable=False),
    Column("user", String(120), nullable=False),
    Column("op", String(24), nullable=False),
    Column("time", Float, nullable=False),
    Column("summary", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", String(8), nullable=False),  # done, undone, dropped (can no longer be redone), passed
    Column("target", Number),  # the edit that this one undoes, redoes or restores
    Index("edits_by_image", "image_id", "revision"),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Number, primary_key=True),
    Column("image_id", Number, ForeignKey("images.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Index("objects_by_image", "image_id"),
)

versions = Table(
    "versions",
    metadata,
    Column("object_id", Number, ForeignKey("objects.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("edit_id", Number, ForeignKey("edits.id"), nullable=False),
    Column("root", Integer, nullable=False),  # the version that first had this content; 0: there is no object
    Column("deleted", Boolean, nullable=False),
    Column("class_id", Number, ForeignKey("classes.id")),
    Column("mask", LargeBinary),  # COCO's counts of the run lengths
    Column("rings", Text),  # the polygon as it was drawn, JSON; null where there is none
    Column("x1", Float),
    Column("y1", Float),
    Column("x2", Float),
    Column("y2", Float),
    Column("area", Number),
    Column("score", Float),
    Column("source", String(8)),
    Column("suggested", Boolean),
    Column("z", Integer),
    Column("crowd", Boolean),
    Column("track", Number),
    Column("author", String(120)),
    Column("comment", Text),
    Index("versions_by_edit", "edit_id"),
    Index("versions_by_class", "class_id"),
)

comments = Table(
    "comments",
    metadata,
    Column("id", Number, primary_key=True),
    Column("image_id", Number, ForeignKey("images.id"), nullable=False),
    Column("user", String(120), nullable=False),
    Column("time", Float, nullable=False),
    Column("text", Text, nullable=False),
    Index("comments_by_image", "image_id"),
)
