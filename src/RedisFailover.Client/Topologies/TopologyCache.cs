using Microsoft.Extensions.Logging;

namespace RedisFailover.Client;

/// <summary>The last topology on disk, for a start while ZooKeeper is down.</summary>
internal sealed class TopologyCache(string file, ILogger logger)
{
    private bool _told;

    public string File => file;

    /// <summary>Replaces the file as a whole, so that a crash leaves the old one; its owner alone may read it.</summary>
    public async Task SaveAsync(Topology topology, CancellationToken cancellationToken)
    {
        try
        {
            string next = file + ".new";
            if (FileKind.Fault(file) is { } fault)
            {
                throw new IOException($"it is {fault}");
            }

            await WriteAsync(next, TopologyJson.Write(topology), cancellationToken).ConfigureAwait(false);
            System.IO.File.Move(next, file, overwrite: true);
            _told = false;
        }
#pragma warning disable CA1031 // No failure of the disk's or of the path's may end the following of topologies.
        catch (Exception failure) when (failure is not OperationCanceledException)
#pragma warning restore CA1031
        {
            // The application runs as well without: said once.
            if (!_told)
            {
                Log.CacheNotWritten(logger, file, failure.Message);
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
    {
        try
        {
            return FileKind.Fault(file) is not null ? null : TopologyJson.Parse(System.IO.File.ReadAllBytes(file));
        }
#pragma warning disable CA1031 // Whatever stands there: then there is none.
        catch (Exception)
#pragma warning restore CA1031
        {
            return null;
        }
    }
}
