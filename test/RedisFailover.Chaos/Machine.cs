using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos;

/// <summary>One machine with one process on it: an address, a directory, a log that is kept whole over restarts.</summary>
internal sealed class Machine(string name, string address, int number, string[] prefix, string directory) : IAsyncDisposable
{
    private (string Program, string[] Arguments) _command;
    private ChildProcess? _process;
    private bool _frozen;

    internal string Name => name;

    internal string Address => address;

    internal int Number => number;

    /// <summary>Exists from the first use on.</summary>
    internal string Directory => System.IO.Directory.CreateDirectory(Path.Combine(directory, name)).FullName;

    internal bool IsRunning => _process is { IsRunning: true };

    internal bool IsFrozen => _frozen;

    /// <summary>Threads and open descriptors of its process: what must not grow by being struck.</summary>
    internal (int Threads, int Descriptors) Footprint
        => _process is { IsRunning: true, Pid: var pid }
            ? (System.IO.Directory.GetDirectories($"/proc/{pid}/task").Length,
                System.IO.Directory.GetFileSystemEntries($"/proc/{pid}/fd").Length)
            : default;

    public override string ToString() => name;

    internal Task StartAsync(string program, params string[] arguments)
    {
        _command = (program, arguments);
        return RestartAsync();
    }

    /// <summary>Starts the same again, if it does not run.</summary>
    internal async Task RestartAsync()
    {
        if (IsRunning)
        {
            return;
        }

        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        _frozen = false;
        // Each exec keeps the process id, so that signals reach the program itself.
        _process = await ChildProcess.StartAsync(new ChildProcessOptions(
            name,
            "/bin/sh",
            ["-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1", "sh", Path.Combine(Directory, "log"), .. prefix, _command.Program, .. _command.Arguments])
        {
            WorkingDirectory = Directory,
        });
    }

    /// <summary>kill -9, and waits until its sockets are closed.</summary>
    internal async Task KillAsync()
    {
        if (_process is not null)
        {
            await _process.KillAsync();
        }
    }

    internal void Freeze()
    {
        _frozen = true;
        _process?.Freeze();
    }

    internal void Thaw()
    {
        _frozen = false;
        _process?.Thaw();
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }
    }
}
