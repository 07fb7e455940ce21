using System.Runtime.InteropServices;
using RedisFailover.Cli;

// Ctrl-C, SIGTERM and a terminal that goes away end a command in its own way: watch just ends, load prints its report first, a request
// that nobody has answered yet is withdrawn. The second time they end the process.
using CancellationTokenSource ended = new();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, End);

return await CommandLine.RunAsync(args, Console.Out, Console.Error, ended.Token);

void End(PosixSignalContext context)
{
    context.Cancel = !ended.IsCancellationRequested;
    ended.Cancel();
}
