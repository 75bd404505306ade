"""What a sweep would take, before a trial of it is trained."""
