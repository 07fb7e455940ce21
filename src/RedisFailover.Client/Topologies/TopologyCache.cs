using System.Threading.Channels;

namespace RedisFailover.Client;

/// <summary>The last topology on disk, for a start while ZooKeeper is down. A disk that is slow delays nobody: the latest wins.</summary>
internal sealed class TopologyCache : IAsyncDisposable
{
    private readonly Channel<Topology> _latest = Channel.CreateBounded<Topology>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly ILogger _logger;
    private readonly Task _saving;
    private bool _told;

    public TopologyCache(string file, ILogger logger)
    {
        File = file;
        _logger = logger;
        _saving = Task.Run(SaveAsync);
    }

    public string File { get; }

    /// <summary>Has it saved, unless a later one comes before that; returns at once.</summary>
    public void Keep(Topology topology) => _latest.Writer.TryWrite(topology);

    /// <summary>Returns when the last one is saved, or could not be.</summary>
    public async ValueTask DisposeAsync()
    {
        _latest.Writer.TryComplete();
        await _saving.ConfigureAwait(false);
    }

    private async Task SaveAsync()
    {
        await foreach (Topology topology in _latest.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            await SaveAsync(topology, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Replaces the file as a whole, so that a crash leaves the old one; its owner alone may read it.</summary>
    public async Task SaveAsync(Topology topology, CancellationToken cancellationToken)
    {
        try
        {
            string next = File + ".new";
            if (FileKind.Fault(File) is { } fault)
            {
                throw new IOException($"it is {fault}");
            }

            await WriteAsync(next, TopologyJson.Write(topology), cancellationToken).ConfigureAwait(false);
            System.IO.File.Move(next, File, overwrite: true);
            _told = false;
        }
#pragma warning disable CA1031 // No failure of the disk's or of the path's may end the following of topologies.
        catch (Exception failure) when (failure is not OperationCanceledException)
#pragma warning restore CA1031
        {
            // The application runs as well without: said once.
            if (!_told)
            {
                Log.CacheNotWritten(_logger, File, failure.Message);
            }

            _told = true;
        }
    }

    private static async Task WriteAsync(string path, byte[] content, CancellationToken cancellationToken)
    {
        // Gone first: what a crash left there, or somebody else's file or link of that name, is not written into.
        System.IO.File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Options = FileOptions.Asynchronous };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var stream = new FileStream(path, options);
        await stream.WriteAsync(content, cancellationToken).ConfigureAwait(false);

        // On the disk before it takes the old one's place: a power failure leaves one of the two, whole.
        stream.Flush(flushToDisk: true);
    }

    /// <summary>The topology, or null when there is none to use.</summary>
    public Topology? Load()
        => Tolerated.Run(() => FileKind.Fault(File) is not null ? null : TopologyJson.Parse(System.IO.File.ReadAllBytes(File)));
}
