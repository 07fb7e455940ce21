using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>What survives the end of a Redis process.</summary>
public enum RedisPersistence
{
    /// <summary>Nothing: it comes back empty.</summary>
    None,

    /// <summary>Everything acknowledged: an append-only file.</summary>
    AppendOnlyFile,
}

/// <summary>How to start a Redis server. <see cref="ConfLines"/> come last and win.</summary>
public sealed record RedisServerOptions
{
    public int? Port { get; init; }

    public string Bind { get; init; } = "127.0.0.1";

    /// <summary>Where the others find it, when not at its own address: behind a <see cref="FaultProxy"/>, for one.</summary>
    public string? AnnounceIp { get; init; }

    public int? AnnouncePort { get; init; }

    public NodeAddress? ReplicaOf { get; init; }

    /// <summary>Asked for (requirepass) and presented to the master (masterauth).</summary>
    public string? Password { get; init; }

    public RedisPersistence Persistence { get; init; }

    public ImmutableArray<string> ConfLines { get; init; } = [];

    /// <summary>Where it runs; <see cref="Bind"/> is this machine's address then.</summary>
    public Machine? Machine { get; init; }

    /// <summary>As nobody, with a file that it may read and not write: CONFIG REWRITE fails. Needs root.</summary>
    public bool CannotWriteItsFile { get; init; }
}

/// <summary>A real redis-server on a free port, in a directory of its own.</summary>
public sealed class RedisServer : IAsyncDisposable
{
    private static readonly TimeSpan CommandDeadline = TimeSpan.FromSeconds(5);
    private readonly RedisServerOptions _options;
    private readonly TemporaryDirectory _directory;
    private ChildProcess? _process;
    private string _confName = "redis.conf";

    private RedisServer(RedisServerOptions options, int port)
    {
        Port = port;
        options = _options = options.Machine is { } machine ? options with { Bind = machine.Address } : options;
        Address =
            NodeAddress.Parse($"{(options.Bind.Contains(':', StringComparison.Ordinal) ? $"[{options.Bind}]" : options.Bind)}:{port}");
        _directory = new TemporaryDirectory($"redis-{port}");
        File.WriteAllLines(ConfFile, Conf());
    }

    public int Port { get; }

    public NodeAddress Address { get; }

    public ChildProcess Process => _process ?? throw new InvalidOperationException($"Redis {Address} has not been started.");

    private string ConfFile => _directory.File(_confName);

    public static async Task<RedisServer> StartAsync(RedisServerOptions? options = null, CancellationToken ct = default)
    {
        options ??= new RedisServerOptions();
        RedisServer server = new(options, options.Port ?? FreePorts.Next());
        try
        {
            await server.StartProcessAsync(ct);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>kill -9; returns at once.</summary>
    public void Kill() => Process.Kill();

    public Task KillAsync(CancellationToken ct = default) => Process.KillAsync(ct);

    public void Freeze() => Process.Freeze();

    public void Thaw() => Process.Thaw();

    /// <summary>An orderly end: SIGTERM, and waits for it.</summary>
    public async Task StopAsync(CancellationToken ct = default)
    {
        Process.Terminate();
        await Process.WaitForExitAsync(ct);
    }

    /// <summary>Starts it again on the same port, with what its persistence kept and the configuration that it was left with.</summary>
    public async Task RestartAsync(CancellationToken ct = default)
    {
        await Process.DisposeAsync();
        await StartProcessAsync(ct);
    }

    /// <summary>Whether its configuration file names a master: it comes back as a replica by itself.</summary>
    public bool IsReplicaByItsFile()
        => File.ReadLines(ConfFile).Any(line => line.StartsWith("replicaof ", StringComparison.Ordinal)
            || line.StartsWith("slaveof ", StringComparison.Ordinal));

    /// <summary>Gives its configuration file another name while it is down, as a package or an image does.</summary>
    public void RenameConfFile(string name)
    {
        File.Move(ConfFile, _directory.File(name));
        _confName = name;
    }

    /// <summary>Starts it again on the same port without any data and with its first configuration.</summary>
    public async Task RestartEmptyAsync(CancellationToken ct = default)
    {
        await Process.DisposeAsync();
        foreach (FileSystemInfo entry in new DirectoryInfo(_directory.Path).EnumerateFileSystemInfos())
        {
            if (entry is DirectoryInfo folder)
            {
                folder.Delete(recursive: true);
            }
            else
            {
                entry.Delete();
            }
        }

        await File.WriteAllLinesAsync(ConfFile, Conf(), ct);
        await StartProcessAsync(ct);
    }

    /// <summary>From now on no RDB save succeeds, whoever Redis runs as; the data in memory are untouched.</summary>
    public void PutDirectoryInPlaceOfDump()
    {
        File.Delete(_directory.File("dump.rdb"));
        Directory.CreateDirectory(_directory.File("dump.rdb/occupied"));
    }

    /// <summary>Changes its file while it is down; null takes the directive out.</summary>
    public void SetInFile(string directive, string? value)
    {
        string[] others =
            [.. File.ReadLines(ConfFile).Where(line => !line.StartsWith(directive + " ", StringComparison.OrdinalIgnoreCase))];
        File.WriteAllLines(ConfFile, value is null ? others : [.. others, $"{directive} {value}"]);
    }

    /// <summary>One command over a connection of its own, bounded in time (a frozen server does not answer).</summary>
    public Task<RedisReply> CommandAsync(params ImmutableArray<string> command) => CommandAsync(command, CancellationToken.None);

    public async Task<RedisReply> CommandAsync(ImmutableArray<string> command, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(CommandDeadline);
        try
        {
            await using RedisWire wire = await ConnectAsync(deadline.Token);
            return await wire.CommandAsync(command, deadline.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new TimeoutException(
                $"Redis {Address} did not answer {string.Join(' ', command)} within {CommandDeadline.TotalSeconds} s.");
        }
    }

    /// <summary>A connection for several commands, or to subscribe with.</summary>
    public Task<RedisWire> ConnectAsync(CancellationToken ct = default) => _options.Machine is { } machine
        ? RedisWire.ConnectAsync(machine.NewSocket(), _options.Bind, Port, _options.Password, ct)
        : RedisWire.ConnectAsync(_options.Bind, Port, _options.Password, ct);

    /// <summary>"master" or "slave", as ROLE says.</summary>
    public async Task<string> RoleAsync(CancellationToken ct = default) => (await CommandAsync(["ROLE"], ct))[0].Text!;

    /// <summary>Whose replica it is, or null for a master.</summary>
    public async Task<NodeAddress?> MasterAsync(CancellationToken ct = default)
    {
        RedisReply role = await CommandAsync(["ROLE"], ct);
        return role[0].Text == "slave" ? NodeAddress.Parse($"{role[1].Text}:{role[2].Text}") : null;
    }

    public async Task<ImmutableDictionary<string, string>> InfoAsync(string section = "everything", CancellationToken ct = default)
    {
        RedisReply info = await CommandAsync(["INFO", section], ct);
        return info.Text!.Split("\r\n")
            .Where(line => line.Contains(':', StringComparison.Ordinal) && !line.StartsWith('#'))
            .ToImmutableDictionary(line
                => line[..line.IndexOf(':', StringComparison.Ordinal)], line => line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..]);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        _directory.Dispose();
    }

    private async Task StartProcessAsync(CancellationToken ct)
    {
        string[] prefix = [.. _options.Machine?.Prefix ?? [], .. _options.CannotWriteItsFile ? AsNobody() : []];
        ImmutableArray<string> command = [.. prefix, Programs.RedisServer, ConfFile];
        _process = await ChildProcess.StartAsync(
            new ChildProcessOptions($"redis-server {Address}", command[0], command[1..]) { WorkingDirectory = _directory.Path }, ct);
        await _process.WaitForLineAsync(line => line.Contains("Ready to accept connections", StringComparison.Ordinal), ct: ct);
    }

    /// <summary>Ends <see cref="RedisServerOptions.CannotWriteItsFile"/>.</summary>
    public void LetItWriteItsFile()
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(_directory.Path, (UnixFileMode)0b111_111_111);
        }
    }

    /// <summary>Its data are nobody's, its file and the directory that this is in are root's.</summary>
    private string[] AsNobody()
    {
        Directory.CreateDirectory(DataDirectory);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(DataDirectory, (UnixFileMode)0b111_111_111);
        }

        return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--pdeathsig", "KILL", "--"];
    }

    private string DataDirectory => _options.CannotWriteItsFile ? _directory.File("data") : _directory.Path;

    private IEnumerable<string> Conf()
    {
        yield return string.Create(CultureInfo.InvariantCulture, $"port {Port}");
        yield return $"bind {_options.Bind}";
        yield return $"dir {DataDirectory}";
        yield return "save \"\"";
        yield return _options.Persistence == RedisPersistence.AppendOnlyFile ? "appendonly yes" : "appendonly no";
        yield return "appendfsync always";
        // A replica syncs at once, without Redis' pause for more of them to come.
        yield return "repl-diskless-sync yes";
        yield return "repl-diskless-sync-delay 0";
        if (RedisVersion.Current.Major >= 6)
        {
            yield return "repl-diskless-load swapdb";
        }

        yield return "databases 16";
        if (_options.Machine is not null)
        {
            yield return "protected-mode no";
        }

        if (_options.Password is { } password)
        {
            yield return $"requirepass {password}";
            yield return $"masterauth {password}";
        }

        if (_options.AnnounceIp is { } ip)
        {
            yield return $"replica-announce-ip {ip}";
        }

        if (_options.AnnouncePort is { } port)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"replica-announce-port {port}");
        }

        if (_options.ReplicaOf is { } master)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"replicaof {master.Host} {master.Port}");
        }

        foreach (string line in _options.ConfLines)
        {
            yield return line;
        }
    }
}
