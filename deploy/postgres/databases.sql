-- One database per room: a room's migrations know only their own.
CREATE DATABASE data;
CREATE DATABASE training;
CREATE DATABASE registry;
