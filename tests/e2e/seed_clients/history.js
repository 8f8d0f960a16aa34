// HTTP endpoint
const history = await fetch('/conversation/user-123/messages');
const messages = await history.json();
