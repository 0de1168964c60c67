"""The backbone as a contender: two services, declared as any other, run by the runtime that runs the platform."""
