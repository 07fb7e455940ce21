using System.Collections.Immutable;

namespace RedisFailover.Shared;

/// <summary>
/// Secrets in a file, one a line. It is read again whenever they are asked for, so that who rotates them only has to write the file (or
/// to let Kubernetes do it); while it cannot be read, what was read last holds. Compiled into the projects that log in somewhere.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="isLine">Whether a line is as it should be; null: any is. A file with another one changes nothing.</param>
internal sealed class SecretFile(string path, Func<string, bool>? isLine = null)
{
    private volatile string[] _last = [];
    private volatile bool _isRefused;

    /// <summary>Whether what it held when it was last read is not as it should be, so that what was read before holds.</summary>
    internal bool IsRefused => _isRefused;

    /// <summary>The file.</summary>
    internal string Path => path;

    /// <summary>Its lines that are not empty. The first is what holds, the others are tried after it.</summary>
    internal ImmutableArray<string> Lines
    {
        get
        {
            try
            {
                ImmutableArray<string> lines = Read();
                _isRefused = isLine is not null && !lines.All(isLine);
                if (!lines.IsEmpty && !_isRefused)
                {
                    _last = [.. lines];
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It is being replaced.
            }

            return [.. _last];
        }
    }

    /// <summary>Its lines that are not empty.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    internal ImmutableArray<string> Read() => [.. File.ReadAllLines(path).Where(line => line.Length > 0)];

    /// <summary>The path; never what is in it.</summary>
    public override string ToString() => path;
}
