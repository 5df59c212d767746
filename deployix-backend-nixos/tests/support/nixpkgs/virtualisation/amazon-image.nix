# Stands for the module of nixpkgs that makes a machine an EC2 instance.
{ }
