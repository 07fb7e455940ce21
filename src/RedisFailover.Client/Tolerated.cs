namespace RedisFailover.Client;

/// <summary>Runs code of the application's, whose failures are its own: what was to be told of goes on.</summary>
internal static class Tolerated
{
    /// <summary>What it gives; the default where it fails.</summary>
    public static T? Run<T>(Func<T?> code, Action<Exception>? failed = null)
    {
        try
        {
            return code();
        }
#pragma warning disable CA1031 // Whatever it throws.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            failed?.Invoke(failure);
            return default;
        }
    }

    public static void Run(Action code, Action<Exception>? failed = null) => Run<object>(
        () =>
        {
            code();
            return null;
        },
        failed);
}
