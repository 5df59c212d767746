//! Compiles Deployix specs to Docker images, containers and networks.
